"""I01: one token more than the context holds, negative counts, NaN, 1e309, a boolean as a number -> 400 naming the
field.

Defence: api/request.py:_new_tokens; removed, a request for more tokens than the context holds reaches the engine.
Defence: api/strict.py:Strict.model_config (strict); removed, true counts as 1 and "5" as 5.
Defence: api/strict.py:_is_same; removed its comparison of types, `store: 0` passes for `store: false`.
Defence: nouns/model.py:SamplingParameters; removed its bounds, 1e309 reaches the sampler as infinity.
Defence: artifact/strict_json.py:_refuse_constant; removed, NaN is read as a number.
"""

from __future__ import annotations

import json

import pytest

from tests.api.toy import CONTEXT, MODEL, ToyEngine, chat, post, refused

PROMPT = len("user: Hi\n")
COUNTS = ["max_tokens", "max_completion_tokens"]
NUMBERS = ["temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty"]


@pytest.mark.parametrize("field", COUNTS)
@pytest.mark.parametrize("count", [CONTEXT - PROMPT + 1, CONTEXT, 1 << 31, 1 << 63, 10**400, 0, -1, -(1 << 63)])
def test_a_count_beyond_the_context(field: str, count: int) -> None:
    refused(chat(**{field: count}), field)


def test_the_last_count_that_fits_is_served() -> None:
    engine = ToyEngine()
    assert post("/v1/chat/completions", chat(max_tokens=CONTEXT - PROMPT), engine=engine).status_code == 200
    assert engine.requests[0].maximum_tokens == CONTEXT


def test_a_prompt_that_leaves_no_room() -> None:
    refused(chat(messages=[{"role": "user", "content": "x" * CONTEXT}]), "messages")
    refused({"model": MODEL, "prompt": "x" * CONTEXT}, "prompt", path="/v1/completions")


@pytest.mark.parametrize("field", [*COUNTS, "top_k", "seed", *NUMBERS])
@pytest.mark.parametrize("value", [True, False, "5", [5], {"value": 5}])
def test_what_is_no_number(field: str, value: object) -> None:
    refused(chat(**{field: value}), field)


@pytest.mark.parametrize("field", [*COUNTS, "top_k", "seed"])
def test_a_fraction_as_a_count(field: str) -> None:
    refused(chat(**{field: 1.5}), field)


@pytest.mark.parametrize("field", [*COUNTS, "top_k", "seed", *NUMBERS])
@pytest.mark.parametrize("number", ["1e309", "-1e309", "1e999999999"])
def test_a_number_that_is_infinite(field: str, number: str) -> None:
    refused(with_raw(field, number), field)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "+1", "01", ".5", "0x10", "1" * 5000])
def test_a_number_that_json_does_not_know(number: str) -> None:
    refused(with_raw("temperature", number), None)


@pytest.mark.parametrize(("field", "value"), [("n", True), ("n", 9), ("n", 1.0), ("top_logprobs", False), ("store", 0)])
def test_a_boolean_is_not_the_number_that_changes_nothing(field: str, value: object) -> None:
    refused(chat(**{field: value}), field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("top_p", 1.1),
        ("top_p", -1),
        ("min_p", 2),
        ("top_k", -1),
        ("seed", -1),
        ("seed", 1 << 63),
        ("presence_penalty", 2.5),
        ("frequency_penalty", -2.5),
        ("repetition_penalty", 0),
        ("repetition_penalty", 1e300),
    ],
)
def test_a_number_out_of_bounds(field: str, value: float) -> None:
    refused(chat(**{field: value}), field)


def test_two_counts_that_differ() -> None:
    refused(chat(max_tokens=1, max_completion_tokens=2), "max_tokens")


def with_raw(field: str, number: str) -> bytes:
    return json.dumps(chat(**{field: "@"})).replace('"@"', number).encode()
