"""I05: token ids outside the vocabulary -> 400; none reaches the embedding, where an index without a row faults.

Defence: api/request.py:_encode_prompt and api/schema.py:_read_prompt; removed, 257, -1 and 2^64 are computed on.
"""

from __future__ import annotations

import pytest

from tests.api.toy import MODEL, ToyEngine, post, refused


@pytest.mark.parametrize("token", [257, -1, 1 << 31, 1 << 63, 1 << 64, 10**300, True, 1.0, "1", None])
@pytest.mark.parametrize("place", [0, 2])
def test_a_token_outside(token: object, place: int) -> None:
    prompt: list[object] = [1, 2, 3]
    prompt[place] = token
    refused({"model": MODEL, "prompt": prompt}, "prompt", path="/v1/completions")
    refused({"model": MODEL, "prompt": [prompt]}, "prompt", path="/v1/completions")


@pytest.mark.parametrize("prompt", [[], [[]], "", None, 5, {}, ["a", "b"], [[1], [2]], [["a"]], [[[1]]], [{}]])
def test_what_is_no_prompt(prompt: object) -> None:
    refused({"model": MODEL, "prompt": prompt}, "prompt", path="/v1/completions")


def test_the_last_token_of_the_vocabulary_is_served() -> None:
    engine = ToyEngine()
    body = {"model": MODEL, "prompt": [0, 256]}
    assert post("/v1/completions", body, engine=engine).status_code == 200
    assert engine.requests[0].prompt == (0, 256)
