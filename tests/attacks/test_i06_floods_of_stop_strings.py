"""I06: a million stop strings, huge stop strings, a logit_bias over the whole vocabulary -> 400.

Defence: generation/session.py:GenerationRequest; removed, a million automata are built and every token is put through
each. Defence: api/schema.py:ChatBody.neutral; removed (any value taken), a bias for each token is accepted and ignored.
"""

from __future__ import annotations

import time

import pytest

from tests.api.toy import MODEL, ToyEngine, chat, post, refused


def test_a_million_stop_strings() -> None:
    begin = time.monotonic()
    refused(chat(stop=["x"] * (1 << 19)), "stop")
    refused(chat(stop=[""] * 17), "stop")
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize(
    "stop", ["", [""], ["a", ""], "x" * 257, ["x" * (1 << 20)], [1], [None], [["x"]], 5, {"x": 1}, True]
)
def test_what_is_no_stop_string(stop: object) -> None:
    refused(chat(stop=stop), "stop")
    refused({"model": MODEL, "prompt": "x", "stop": stop}, "stop", path="/v1/completions")


def test_as_many_as_allowed_are_served() -> None:
    engine = ToyEngine(b"yes and no")
    stops = [*(chr(ord("A") + number) * 256 for number in range(15)), "and"]
    body = post("/v1/chat/completions", chat(stop=stops), engine=engine).json()
    assert body["choices"][0]["message"]["content"] == "yes "


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_a_bias_for_every_token(path: str) -> None:
    bias = {str(token): -100 for token in range(100_000)}
    body = chat(logit_bias=bias) if "chat" in path else {"model": MODEL, "prompt": "x", "logit_bias": bias}
    refused(body, "logit_bias", path=path)
