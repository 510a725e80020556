"""I02 (text): lone surrogates, and 10^6 combining marks on one letter.

Expected: half a surrogate pair is the caller's error (400, field named); a long run of marks is refused before it is tokenised, or, where the
context could hold it, tokenised in bounded time.
Defence: mohawk/checkpoint/tokenizer.py:Tokenizer.encode (both checks) and mohawk/checkpoint/template.py:_encode_line; removed, a
UnicodeEncodeError leaves as a 500, and one request occupies a core for seconds, whatever its context could hold.
"""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import pytest

from mohawk.checkpoint.reader import read_side_files
from mohawk.checkpoint.template import ChatTemplate
from mohawk.checkpoint.tokenizer import Tokenizer
from mohawk.errors import UsageError
from tests.support.folders import write_folder

MARKS = "e" + "\u0301" * 1_000_000


@pytest.fixture
def sides(tmp_path: Path) -> dict[str, bytes]:
    return read_side_files(write_folder(tmp_path / "m"))


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\udc00\ud800"])
def test_half_a_surrogate_pair_is_the_callers_fault(sides: dict[str, bytes], text: str):
    tokenizer = Tokenizer(sides, 512, 4096)
    chat = ChatTemplate("{{ messages[0].content }}", {})
    try:
        with pytest.raises(UsageError) as caught:
            tokenizer.encode(text, field="prompt")
        assert caught.value.field == "prompt"
        assert caught.value.http_status == 400
        with pytest.raises(UsageError, match="surrogate") as caught:
            chat.render([{"role": "user", "content": text}], now=datetime(2026, 1, 1))
        assert caught.value.field == "messages"
    finally:
        chat.close()


def test_a_million_marks_are_refused_before_any_work(sides: dict[str, bytes]):
    tokenizer = Tokenizer(sides, 512, 4096)

    start = time.monotonic()
    with pytest.raises(UsageError):
        tokenizer.encode(MARKS)
    assert time.monotonic() - start < 0.1


def test_where_the_context_could_hold_them_the_work_is_bounded(sides: dict[str, bytes]):
    tokenizer = Tokenizer(sides, 512, 1 << 20)

    start = time.monotonic()
    assert len(tokenizer.encode(MARKS)) > 100_000
    assert time.monotonic() - start < 20
