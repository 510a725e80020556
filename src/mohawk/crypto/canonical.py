"""Canonical JSON: one value, one spelling. What is signed, or sealed beside what it describes, goes through here.

Rules, and the attack each stops:

1. ASCII, keys sorted, no white space, and what was read must encode to the very bytes that were read: a duplicate key,
   a second spelling of a number or a string, or trailing bytes cannot mean one thing to us and another to a signer.
2. The limit is checked before the parser sees a byte; nesting and huge integers end in the same typed error.
3. An object has exactly the keys that its format names: an unknown field is refused, not skipped.
"""

from __future__ import annotations

import base64
import json
from typing import TypeAlias

from mohawk.errors import ArtifactError

Json: TypeAlias = "str | int | bytes | list[Json] | dict[str, Json]"
"""What our formats hold. Bytes are written as base64."""


def encode(value: dict[str, Json]) -> bytes:
    """The one spelling of `value`."""
    return _dump(value).encode("ascii")


def decode(data: bytes, limit: int, keys: tuple[str, ...]) -> Fields:
    """The object in `data`. Raises ArtifactError: over `limit` bytes, not canonical JSON, or other keys than `keys`."""
    if len(data) > limit:
        raise ArtifactError("a document beyond its size limit")
    try:
        value = json.loads(data.decode("ascii"))
        canonical = _dump(value).encode("ascii")
    except (ValueError, RecursionError):  # ValueError: syntax, encoding, infinities, integers of 4300 digits and more
        raise ArtifactError("not a JSON document of ours") from None
    if canonical != data:
        raise ArtifactError("a JSON document that is not in its canonical spelling")
    return Fields(value, keys)


def _dump(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_encode_bytes)


def _encode_bytes(value: object) -> str:
    assert isinstance(value, bytes)
    return base64.b64encode(value).decode("ascii")


class Fields:
    """One object of a decoded document, read field by field; whatever has another type or size raises ArtifactError."""

    __slots__ = ("_values",)

    def __init__(self, value: object, keys: tuple[str, ...]) -> None:
        if not isinstance(value, dict) or value.keys() != set(keys):
            raise ArtifactError("a document with missing or unknown fields")
        self._values: dict[str, object] = value

    def text(self, key: str, most: int = 64) -> str:
        """A string of at most `most` characters."""
        value = self._values[key]
        if not isinstance(value, str) or len(value) > most:
            raise ArtifactError(f"field {key} is not a text of at most {most} characters")
        return value

    def whole(self, key: str, low: int, high: int) -> int:
        """An integer from `low` to `high`, both inclusive. True is not 1."""
        value = self._values[key]
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ArtifactError(f"field {key} is not a whole number within its bounds")
        return value

    def blob(self, key: str, most: int) -> bytes:
        """At most `most` bytes, in base64's one spelling."""
        text = self.text(key, (most + 2) // 3 * 4)
        try:
            value = base64.b64decode(text, validate=True)
        except ValueError:
            raise ArtifactError(f"field {key} is not base64") from None
        if _encode_bytes(value) != text or len(value) > most:
            raise ArtifactError(f"field {key} is not base64 in its canonical spelling")
        return value

    def items(self, key: str, most: int, keys: tuple[str, ...]) -> tuple[Fields, ...]:
        """A list of at most `most` objects, each with exactly `keys`."""
        value = self._values[key]
        if not isinstance(value, list) or len(value) > most:
            raise ArtifactError(f"field {key} is not a list of at most {most}")
        return tuple(Fields(item, keys) for item in value)

    def texts(self, key: str, most: int, longest: int = 64) -> tuple[str, ...]:
        """A list of at most `most` strings, each of at most `longest` characters."""
        value = self._values[key]
        if not isinstance(value, list) or len(value) > most:
            raise ArtifactError(f"field {key} is not a list of at most {most}")
        if not all(isinstance(one, str) and len(one) <= longest for one in value):
            raise ArtifactError(f"field {key} holds something that is not a text of at most {longest} characters")
        return tuple(value)

    def nested(self, key: str, keys: tuple[str, ...]) -> Fields:
        return Fields(self._values[key], keys)

    def named_texts(self, key: str, most: int, longest: int) -> dict[str, str]:
        """An object of at most `most` texts under names of its own, each of at most `longest` characters."""
        value = self._values[key]
        if not isinstance(value, dict) or len(value) > most:
            raise ArtifactError(f"field {key} is not an object of at most {most} texts")
        inner = Fields(value, tuple(value))
        return {name: inner.text(name, longest) for name in value}

    def require(self, key: str, expected: str) -> None:
        """Raise ArtifactError unless the field holds exactly `expected`: a format's name and number."""
        if self._values[key] != expected:
            raise ArtifactError(f"field {key} names a format that this version does not read")
