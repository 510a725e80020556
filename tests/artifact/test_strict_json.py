"""JSON of strangers is bounded before it is parsed, and means one thing only."""

from __future__ import annotations

import pytest

from mohawk.artifact.strict_json import parse_object
from mohawk.errors import ArtifactError


def test_objects_are_parsed():
    assert parse_object(b'{"a": [1, 2.5, null, true, "x"]}', limit=100, tokens=10) == {"a": [1, 2.5, None, True, "x"]}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": 1, "b": 2}}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": "\xff"}',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=range(13),
)
def test_everything_else_is_refused(data: bytes):
    with pytest.raises(ArtifactError):
        parse_object(data, limit=1 << 20, tokens=1 << 20)


def test_size_and_token_limits_come_first():
    with pytest.raises(ArtifactError, match="bytes"):
        parse_object(b"x" * 11, limit=10, tokens=10)
    with pytest.raises(ArtifactError, match="values"):
        parse_object(b"x,,,,,,,,,,,", limit=100, tokens=10)
