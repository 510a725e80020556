"""Protects the one spelling: what is read encodes to the very bytes that were read, and bad documents end in one
error.
"""

from __future__ import annotations

import pytest

from mohawk.crypto import canonical
from mohawk.errors import ArtifactError


def test_round_trip() -> None:
    data = canonical.encode({"b": 1, "a": "ü\n", "c": b"\0\1", "d": [{"e": 2}]})
    assert data == b'{"a":"\\u00fc\\n","b":1,"c":"AAE=","d":[{"e":2}]}'
    fields = canonical.decode(data, 100, ("a", "b", "c", "d"))
    assert (fields.text("a"), fields.whole("b", 0, 1), fields.blob("c", 2)) == ("ü\n", 1, b"\0\1")
    assert fields.items("d", 1, ("e",))[0].whole("e", 2, 2) == 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"a": 1}',
        b'{"a":1} ',
        b'{"a":1,"a":1}',
        b'{"a":1,"b":2}',
        b'{"a":1.0e0}',
        b'{"a":NaN}',
        b'{"a":1e999}',
        b'{"a":-0}',
        b'{"a":"\xc3\xbc"}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ArtifactError):
        canonical.decode(data, 1 << 20, ("a",))


def test_the_limit_comes_first() -> None:
    with pytest.raises(ArtifactError, match="limit"):
        canonical.decode(b'{"a":1}', 6, ("a",))


@pytest.mark.parametrize("data", [b'{"a":true}', b'{"a":"1"}', b'{"a":5}', b'{"a":-1}', b'{"a":1.5}', b'{"a":null}'])
def test_whole_numbers_are_whole_and_bounded(data: bytes) -> None:
    with pytest.raises(ArtifactError):
        canonical.decode(data, 100, ("a",)).whole("a", 0, 4)


@pytest.mark.parametrize("text", ["AAE", "AAE==", "AAF=", "A A=", "AAEC", "*", "\u00fc"])
def test_base64_has_one_spelling_and_a_limit(text: str) -> None:
    with pytest.raises(ArtifactError):
        canonical.decode(canonical.encode({"a": text}), 100, ("a",)).blob("a", 2)


def test_texts_and_lists_are_typed_and_bounded() -> None:
    fields = canonical.decode(b'{"a":[1,2]}', 100, ("a",))
    with pytest.raises(ArtifactError):
        fields.text("a")
    with pytest.raises(ArtifactError):
        fields.items("a", 1, ())
    with pytest.raises(ArtifactError):
        fields.items("a", 2, ())
    with pytest.raises(ArtifactError):
        fields.nested("a", ())
    with pytest.raises(ArtifactError):
        canonical.decode(b'{"a":"12345"}', 100, ("a",)).text("a", 4)
