"""What all request bodies have in common: they refuse what they do not know.

A field is supported, or known and accepted at its neutral value (where leaving it out means the same), or refused by
name. Nothing is ignored: a client that asks for what we do not do hears so (I04, I06, I07, I08).

Types are strict: a boolean is no number, text is no number, NaN and infinity are nothing (I01). The first problem ends
the check, so that a body of a million problems costs as much as a body of one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from mohawk.artifact.strict_json import JsonObject, JsonValue
from mohawk.errors import UsageError

Neutral = Mapping[str, tuple[JsonValue, ...]]
"""Field -> values that change nothing. null is neutral everywhere."""

_PRINTABLE = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_Body = TypeVar("_Body", bound="Strict")


class Strict(BaseModel):
    """Refuses what it does not know, by name."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)
    neutral: ClassVar[Neutral] = {}

    @model_validator(mode="before")
    @classmethod
    def _keep_supported(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        supported = {field.alias or name for name, field in cls.model_fields.items()}
        for name, value in data.items():
            if name in supported:
                continue
            if name not in cls.neutral:
                raise _unknown_field(name)
            if value is not None and not any(_is_same(value, neutral) for neutral in cls.neutral[name]):
                hint = "leave it out, or send the value that changes nothing"
                raise UsageError(f"{name} is not supported with this value", hint=hint, field=name)
        return {name: value for name, value in data.items() if name in supported}


def read(schema: type[_Body], document: JsonObject) -> _Body:
    """Raises UsageError naming the first field that is wrong."""
    try:
        body = schema.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{field}: {first['msg']}" if field else first["msg"], field=field or None) from None
    return body


def _is_same(value: JsonValue, neutral: JsonValue) -> bool:
    """Equal, and of one type: to Python, True equals 1."""
    return type(value) is type(neutral) and value == neutral


def _unknown_field(name: str) -> UsageError:
    """A client's word is repeated to it only when it can do no harm in a log or a terminal."""
    if _PRINTABLE.fullmatch(name):
        return UsageError(f"unknown field {name}", field=name)
    return UsageError("an unknown field whose name is not printable")
