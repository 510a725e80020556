"""The request bodies that we understand.

A field is supported, or known and accepted at its neutral value (where leaving it out means the same), or refused by
name. Nothing is ignored: a client that asks for what we do not do hears so (I04, I06, I07, I08).

Types are strict: a boolean is no number, text is no number, NaN and infinity are nothing (I01). The first problem ends
the check, so that a body of a million problems costs as much as a body of one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, ValidationError, model_validator

from mohawk.artifact.strict_json import JsonObject, JsonValue
from mohawk.errors import UsageError
from mohawk.nouns.model import SamplingParameters

Neutral = Mapping[str, tuple[JsonValue, ...]]
"""Field -> values that change nothing. null is neutral everywhere."""

MAXIMUM_MESSAGES = 4096
"""Each costs some microseconds of checking, and a template's loop."""

_SAMPLING = {field.name for field in fields(SamplingParameters)}
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
        for name, value in data.items():
            if name in cls.model_fields:
                continue
            if name not in cls.neutral:
                raise _unknown_field(name)
            if value is not None and not any(_is_same(value, neutral) for neutral in cls.neutral[name]):
                hint = "leave it out, or send the value that changes nothing"
                raise UsageError(f"{name} is not supported with this value", hint=hint, field=name)
        return {name: value for name, value in data.items() if name in cls.model_fields}


def _join_content(value: object) -> object:
    """Text, or a list of text parts, as one text."""
    if not isinstance(value, list):
        return value
    if not value:
        raise UsageError("content is an empty list", field="messages")
    return "".join(_part_text(part) for part in value)


def _part_text(part: object) -> str:
    if not isinstance(part, dict) or part.keys() != {"type", "text"} or part["type"] != "text":
        raise UsageError("content holds something that is not a text part", hint="only text is read", field="messages")
    if not isinstance(part["text"], str):
        raise UsageError("a text part without text", field="messages")
    return part["text"]


def _read_prompt(value: object) -> object:
    """Text or token ids; also in a list of one, which OpenAI's clients may send."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str | list):
        value = value[0]
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value or not all(type(token) is int and token >= 0 for token in value):
        raise UsageError("prompt must be one text, or one list of token ids", field="prompt")
    return tuple(value)


def _read_stop(value: object) -> object:
    if value is None or isinstance(value, str):
        return () if value is None else (value,)
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise UsageError("stop must be one text or a list of texts", field="stop")
    return tuple(value)


def check_labels(field: str) -> Callable[[object], object]:
    """OpenAI's bounds for metadata, for a field of this name."""

    def check(value: object) -> object:
        if value is None:
            return None
        if not isinstance(value, dict) or len(value) > 16:
            raise UsageError(f"{field} must hold at most 16 texts", field=field)
        if not all(isinstance(text, str) and len(text) <= 512 and len(name) <= 64 for name, text in value.items()):
            raise UsageError(f"{field} holds a name or text that is too long, or no text", field=field)
        return value

    return check


_Label = Annotated[str | None, Field(max_length=512)]


class StreamOptions(Strict):
    neutral = {"include_obfuscation": ()}

    include_usage: bool | None = None


class Message(Strict):
    """One turn. `developer` is OpenAI's newer word for `system`; templates know the older one."""

    neutral = {
        "name": (),
        "refusal": (),
        "audio": (),
        "function_call": (),
        "tool_calls": ([],),
        "annotations": ([],),
    }

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, BeforeValidator(_join_content)]

    def plain(self) -> dict[str, str]:
        """As chat templates take it."""
        return {"role": "system" if self.role == "developer" else self.role, "content": self.content}


class GenerationBody(Strict):
    """What both ways of asking have in common. Bounds of the numbers are those of SamplingParameters."""

    model: Annotated[str, Field(max_length=256)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    stop: Annotated[tuple[str, ...], BeforeValidator(_read_stop)] = ()
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    user: _Label = None
    session_id: Annotated[str | None, Field(max_length=64)] = None
    """Not OpenAI's: the session whose keys and values go on."""
    return_token_ids: bool | None = None
    """Not OpenAI's: token ids beside the text, as vLLM has it, for whoever compares runs."""

    def sampling(self, default_seed: int) -> SamplingParameters:
        """Raises UsageError naming the field."""
        given = self.model_dump(include=_SAMPLING, exclude_none=True)
        return SamplingParameters(**{"seed": default_seed, **given})

    @property
    def includes_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage is True

    @property
    def new_tokens(self) -> tuple[int | None, str]:
        """How many are asked for, and by which field."""
        return self.max_tokens, "max_tokens"


class ChatBody(GenerationBody):
    """POST /v1/chat/completions."""

    neutral = {
        "audio": (),
        "function_call": ("none",),
        "functions": ([],),
        "logit_bias": ({},),
        "logprobs": (False,),
        "modalities": (["text"],),
        "moderation": (),
        "n": (1,),
        "parallel_tool_calls": (True, False),
        "prediction": (),
        "prompt_cache_options": (),
        "prompt_cache_retention": ("in_memory",),
        "reasoning_effort": (),
        "response_format": ({"type": "text"},),
        "service_tier": ("auto", "default"),
        "store": (False,),
        "tool_choice": ("none",),
        "tools": ([],),
        "top_logprobs": (0,),
        "verbosity": ("medium",),
        "web_search_options": (),
    }

    messages: Annotated[list[Message], FailFast(), Field(min_length=1, max_length=MAXIMUM_MESSAGES)]
    max_completion_tokens: int | None = None
    metadata: Annotated[dict[str, str] | None, BeforeValidator(check_labels("metadata"))] = None
    """Accepted because clients send it, and not kept."""
    safety_identifier: _Label = None
    prompt_cache_key: _Label = None

    @property
    def new_tokens(self) -> tuple[int | None, str]:
        if self.max_completion_tokens is None:
            return self.max_tokens, "max_tokens"
        if self.max_tokens not in (None, self.max_completion_tokens):
            raise UsageError("max_tokens and max_completion_tokens differ", field="max_tokens")
        return self.max_completion_tokens, "max_completion_tokens"


class TextBody(GenerationBody):
    """POST /v1/completions."""

    neutral = {
        "best_of": (1,),
        "echo": (False,),
        "logit_bias": ({},),
        "logprobs": (False,),
        "n": (1,),
        "suffix": (),
    }

    prompt: Annotated[str | tuple[int, ...], BeforeValidator(_read_prompt)]


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
