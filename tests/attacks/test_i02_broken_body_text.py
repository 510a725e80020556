"""I02 (body): bad UTF-8, half a surrogate pair, a million combining marks -> 400, or bounded work.

Defence: api/body.py:parse_body; removed its search for surrogates, half a pair reaches the tokenizer and the answer's
encoder. Defence: artifact/strict_json.py:parse_object; removed its strict decoding, bad UTF-8 becomes U+FFFD and is
answered as if it had been sent.
Defence: checkpoint/tokenizer.py:Tokenizer.encode; removed its bound, a million marks are normalised and tokenised.
"""

from __future__ import annotations

import json
import time

import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from mohawk.checkpoint.tokenizer import Tokenizer
from tests.api.toy import MODEL, ToyEngine, chat, post, refused

BAD_UTF8 = [b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\xaf", b"\xe2\x82", b"\xf4\x90\x80\x80"]
HALVES = ["\\ud800", "\\udfff", "a\\uD83Db", "\\ude00\\ud83d", "\\ud83d\\ud83d\\ude00"]


@pytest.mark.parametrize("data", BAD_UTF8)
def test_bad_utf8(data: bytes) -> None:
    refused(json.dumps(chat(user="@")).encode().replace(b"@", data), None)
    refused(data, None)


@pytest.mark.parametrize("half", HALVES)
def test_half_a_surrogate_pair_anywhere(half: str) -> None:
    in_content = chat(messages=[{"role": "user", "content": "@"}])
    for body in (in_content, chat(stop=["@"]), chat(user="@"), chat(metadata={"@": "x"}), {"@": 1, **chat()}):
        refused(json.dumps(body).replace("@", half).encode(), None)


def test_a_whole_surrogate_pair_is_one_character() -> None:
    engine = ToyEngine()
    body = json.dumps(chat(messages=[{"role": "user", "content": "\U0001f600"}])).encode()
    assert b"\\ud83d\\ude00" in body
    assert post("/v1/chat/completions", body, engine=engine).status_code == 200
    assert bytes(engine.requests[0].prompt) == "user: \U0001f600\n".encode()


def test_utf16_and_a_byte_order_mark_are_not_guessed() -> None:
    text = json.dumps(chat())
    for data in (text.encode("utf-16"), text.encode("utf-32"), b"\xef\xbb\xbf" + text.encode()):
        refused(data, None)


class TokenizingEngine(ToyEngine):
    """The toy with the project's own tokenizer, byte-level."""

    def __init__(self) -> None:
        super().__init__()
        alphabet = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
        inner = tokenizers.Tokenizer(models.BPE(vocab=alphabet, merges=[]))
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        sides = {"tokenizer.json": inner.to_str().encode()}
        self.tokenizer = Tokenizer(sides, self.vocabulary_size, self.context_length)

    async def encode_text(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, field="prompt")


@pytest.mark.parametrize("text", ["a" + "\u0301" * 10**6, "\u202e\u200d" * 10**6, "\u1100\u1161\u11a8" * 10**6])
def test_a_million_combining_marks_cost_little(text: str) -> None:
    body = json.dumps({"model": MODEL, "prompt": text}, ensure_ascii=False).encode()
    begin = time.monotonic()
    response = post("/v1/completions", body, engine=TokenizingEngine())
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "prompt"
    assert time.monotonic() - begin < 5


def test_as_many_marks_as_fit_are_served() -> None:
    body = {"model": MODEL, "prompt": "a" + "\u0301" * 1000}
    assert post("/v1/completions", body, engine=TokenizingEngine()).status_code == 200
