"""I04: a field that we do not know, or know and cannot do -> 400 naming it; nothing is silently ignored.

Defence: api/strict.py:Strict._keep_supported; removed its refusals, unknown fields vanish and the client believes that
they were obeyed; with pydantic's own refusal in its place, a body of a million unknown fields costs a million error
objects.
"""

from __future__ import annotations

import json
import time
import tracemalloc

import pytest

from tests.api.toy import MODEL, chat, post, refused

KNOWN_BUT_NOT_DONE = {
    "tool_choice": "auto",
    "functions": [{"name": "f"}],
    "function_call": "auto",
    "modalities": ["text", "audio"],
    "audio": {"voice": "x"},
    "store": True,
    "service_tier": "flex",
    "reasoning_effort": "high",
    "prediction": {"type": "content", "content": "x"},
    "web_search_options": {},
    "verbosity": "low",
}
NEUTRAL = {
    "n": 1,
    "logprobs": False,
    "top_logprobs": 0,
    "logit_bias": {},
    "tools": [],
    "tool_choice": "none",
    "functions": [],
    "function_call": "none",
    "response_format": {"type": "text"},
    "modalities": ["text"],
    "audio": None,
    "store": False,
    "service_tier": "auto",
    "reasoning_effort": None,
    "prediction": None,
    "parallel_tool_calls": True,
    "user": "somebody",
    "metadata": {"a": "b"},
    "safety_identifier": "x",
    "prompt_cache_key": "y",
    "stream_options": None,
    "stop": None,
    "temperature": None,
}


@pytest.mark.parametrize(
    "name", ["guided_regex", "ignore_eos", "Temperature", "max_token", "input", "__class__", "x" * 64]
)
def test_an_unknown_field_is_refused_by_name(name: str) -> None:
    assert name in refused(chat(**{name: 1}), name)
    assert name in refused({"model": MODEL, "prompt": "x", name: 1}, name, path="/v1/completions")
    refused(chat(**{name: None}), name)


@pytest.mark.parametrize("name", ["a\r\nb", "\x1b[31m", "ü", "", "x" * 65, "a b"])
def test_a_name_that_could_do_harm_in_a_log_is_not_repeated(name: str) -> None:
    message = refused(chat(**{name: 1}), None)
    assert message.isascii()
    assert message.isprintable()


@pytest.mark.parametrize("name", KNOWN_BUT_NOT_DONE)
def test_what_we_cannot_do_is_refused_by_name(name: str) -> None:
    refused(chat(**{name: KNOWN_BUT_NOT_DONE[name]}), name)


@pytest.mark.parametrize("name", ["best_of", "echo", "suffix"])
def test_the_same_for_plain_completions(name: str) -> None:
    for value in (2, True, "x"):
        refused({"model": MODEL, "prompt": "x", name: value}, name, path="/v1/completions")


@pytest.mark.parametrize("name", NEUTRAL)
def test_what_changes_nothing_is_accepted(name: str) -> None:
    assert post("/v1/chat/completions", chat(**{name: NEUTRAL[name]})).status_code == 200


def test_all_of_it_together_is_accepted() -> None:
    assert post("/v1/chat/completions", chat(**NEUTRAL)).status_code == 200
    body = {"model": MODEL, "prompt": "x", "n": 1, "best_of": 1, "echo": False, "suffix": None, "logprobs": None}
    assert post("/v1/completions", body).status_code == 200


def test_unknown_fields_deeper_inside() -> None:
    refused(chat(messages=[{"role": "user", "content": "x", "weight": 1}]), "weight")
    refused(chat(stream=True, stream_options={"include_usages": True}), "include_usages")
    refused(chat(messages=[{"role": "user", "content": "x", "name": "Bob"}]), "name")
    refused(chat(messages=[{"role": "function", "content": "x"}]), "messages.0.role")


@pytest.mark.parametrize(
    "fields",
    [
        {str(number): 1 for number in range(100_000)},
        {"messages": [{"role": "user", "content": "x", **{str(number): 1 for number in range(100_000)}}]},
        {"messages": [{"role": 1}] * 100_000},
        {"metadata": {str(number): 1 for number in range(100_000)}},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}] * 100_000}]},
    ],
    ids=["fields", "message fields", "messages", "metadata", "parts"],
)
def test_many_problems_cost_as_much_as_one(fields: dict[str, object]) -> None:
    body = json.dumps(chat(**fields)).encode()
    tracemalloc.start()
    begin = time.monotonic()
    try:
        assert post("/v1/chat/completions", body).status_code == 400
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.monotonic() - begin < 10
    assert peak < 20 * len(body) + (32 << 20)
