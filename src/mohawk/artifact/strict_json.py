"""JSON from somebody else: strict, and bounded before anything is built from it.

- Size and token count are checked on the raw bytes, because sixteen megabytes of `[],[],` become half a gigabyte of
  Python lists.
- A key given twice is refused: two parsers that keep different ones would see two different files (attack S12).
- Only UTF-8, no NaN or Infinity; nesting too deep for the parser is refused like any other malformed text.
"""

from __future__ import annotations

import json
from typing import TypeAlias

from mohawk.errors import ArtifactError

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = "dict[str, JsonValue]"


class _RepeatedKeyError(ValueError):
    pass


def parse_object(data: bytes, *, limit: int, tokens: int) -> JsonObject:
    """The JSON object in `data`, at most `limit` bytes and about `tokens` values.

    Raises ArtifactError on anything else.
    """
    if len(data) > limit:
        raise ArtifactError(f"a JSON text of more than {limit} bytes")
    if sum(data.count(sign) for sign in (b",", b"[", b"{")) > tokens:
        raise ArtifactError(f"a JSON text of more than {tokens} values")
    try:
        value: JsonValue = json.loads(
            data.decode("utf-8"), object_pairs_hook=_refuse_repeated_keys, parse_constant=_refuse_constant
        )
    except _RepeatedKeyError as error:
        raise ArtifactError("a JSON object that gives one key twice") from error
    except (ValueError, RecursionError) as error:
        raise ArtifactError("malformed JSON") from error
    if not isinstance(value, dict):
        raise ArtifactError("a JSON text that is not an object")
    return value


def _refuse_repeated_keys(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _RepeatedKeyError
    return members


def _refuse_constant(_: str) -> JsonValue:
    raise ValueError("NaN and Infinity are not JSON")
