"""The request bodies that we understand, by the rules of `strict`."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, FailFast, Field

from mohawk.api.response_format import ResponseFormat
from mohawk.api.strict import Neutral, Strict
from mohawk.api.tools import MAXIMUM_TOOLS, Call, Offer, Tool, ToolChoice, read_offer
from mohawk.artifact.strict_json import JsonObject
from mohawk.errors import UsageError
from mohawk.nouns.model import SamplingParameters
from mohawk.nouns.sampling import MAXIMUM_LOGIT_BIAS, MAXIMUM_TOP_LOGPROBS, LogitBias

MAXIMUM_MESSAGES = 4096
"""Each costs some microseconds of checking, and a template's loop."""

MAXIMUM_CHOICES = 8
"""`n`: each costs as much as a request of its own, but for the prompt."""

_SAMPLING = {field.name for field in fields(SamplingParameters)} - {"logprobs", "top_logprobs", "grammar"}
_TOKEN_ID = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)


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


def _read_logit_bias(value: object) -> object:
    """OpenAI's object of token ids, written as text, to numbers."""
    if value is None:
        return ()
    if not isinstance(value, dict) or not all(_TOKEN_ID.fullmatch(name) for name in value):
        raise UsageError("logit_bias must map token ids to numbers", field="logit_bias")
    if not all(type(bias) in (int, float) and abs(bias) <= MAXIMUM_LOGIT_BIAS for bias in value.values()):
        message = f"a logit_bias must be a number between {-MAXIMUM_LOGIT_BIAS:g} and {MAXIMUM_LOGIT_BIAS:g}"
        raise UsageError(message, field="logit_bias")
    return tuple(LogitBias(int(name), float(bias)) for name, bias in value.items())


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


def _read_logprobs(value: object) -> object:
    """A number of alternatives; some clients say false for none."""
    if value is False:
        return None
    if type(value) is int and not 0 <= value <= MAXIMUM_TOP_LOGPROBS:
        raise UsageError(f"logprobs must lie between 0 and {MAXIMUM_TOP_LOGPROBS}", field="logprobs")
    return value


class StreamOptions(Strict):
    neutral: ClassVar[Neutral] = {"include_obfuscation": ()}

    include_usage: bool | None = None


class Message(Strict):
    """One turn. `developer` is OpenAI's newer word for `system`; templates know the older one."""

    neutral: ClassVar[Neutral] = {
        "name": (),
        "refusal": (),
        "audio": (),
        "function_call": (),
        "annotations": ([],),
    }

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[str | None, BeforeValidator(_join_content)] = None
    tool_calls: Annotated[list[Call] | None, FailFast(), Field(max_length=MAXIMUM_TOOLS)] = None
    tool_call_id: Annotated[str | None, Field(max_length=256)] = None

    def plain(self) -> JsonObject:
        """As chat templates take it. Raises UsageError."""
        self._check()
        role = "system" if self.role == "developer" else self.role
        turn: JsonObject = {"role": role, "content": self.content or ""}
        if self.tool_calls:
            turn["tool_calls"] = [call.plain() for call in self.tool_calls]
        if self.tool_call_id is not None:
            turn["tool_call_id"] = self.tool_call_id
        return turn

    def _check(self) -> None:
        """What belongs to which role. Only calls stand for content."""
        if self.tool_calls and self.role != "assistant":
            raise UsageError("tool_calls belong to the assistant's turns", field="messages")
        if (self.tool_call_id is not None) != (self.role == "tool"):
            raise UsageError("tool_call_id belongs to the turns of tools, and to each of them", field="messages")
        if self.content is None and not self.tool_calls:
            raise UsageError("a message without content", field="messages")


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
    logit_bias: Annotated[tuple[LogitBias, ...], BeforeValidator(_read_logit_bias)] = ()
    n: Annotated[int | None, Field(ge=1, le=MAXIMUM_CHOICES)] = None
    user: _Label = None
    session_id: Annotated[str | None, Field(max_length=64)] = None
    """Not OpenAI's: the session whose keys and values go on."""
    return_token_ids: bool | None = None
    """Not OpenAI's: token ids beside the text, as vLLM has it, for whoever compares runs."""

    def sampling(self, default_seed: int) -> SamplingParameters:
        """Raises UsageError naming the field."""
        given = {name: getattr(self, name) for name in _SAMPLING}
        given = {name: value for name, value in given.items() if value is not None}
        logprobs, top = self.wanted_logprobs
        return SamplingParameters(**{"seed": default_seed, **given}, logprobs=logprobs, top_logprobs=top)

    @property
    @abstractmethod
    def wanted_logprobs(self) -> tuple[bool, int]:
        """Whether each token's logprob is wanted, and how many alternatives beside it."""

    @property
    def choices(self) -> int:
        return 1 if self.n is None else self.n

    @property
    def includes_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage is True

    @property
    def new_tokens(self) -> tuple[int | None, str]:
        """How many are asked for, and by which field."""
        return self.max_tokens, "max_tokens"


class ChatBody(GenerationBody):
    """POST /v1/chat/completions."""

    neutral: ClassVar[Neutral] = {
        "audio": (),
        "function_call": ("none",),
        "functions": ([],),
        "modalities": (["text"],),
        "moderation": (),
        "prediction": (),
        "prompt_cache_options": (),
        "prompt_cache_retention": ("in_memory",),
        "reasoning_effort": (),
        "service_tier": ("auto", "default"),
        "store": (False,),
        "verbosity": ("medium",),
        "web_search_options": (),
    }

    messages: Annotated[list[Message], FailFast(), Field(min_length=1, max_length=MAXIMUM_MESSAGES)]
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[Tool] | None, FailFast(), Field(max_length=MAXIMUM_TOOLS)] = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
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

    @property
    def wanted_logprobs(self) -> tuple[bool, int]:
        return self.logprobs is True, self.top_logprobs or 0

    def offer(self) -> Offer | None:
        """The tools that may be called, if any. Raises UsageError naming the field."""
        return read_offer(self.tools or (), self.tool_choice, is_parallel=self.parallel_tool_calls is not False)

    def format_grammar(self) -> str | None:
        """What `response_format` holds the answer to, if anything. Raises UsageError naming the field."""
        return None if self.response_format is None else self.response_format.grammar()


class TextBody(GenerationBody):
    """POST /v1/completions."""

    neutral: ClassVar[Neutral] = {
        "best_of": (1,),
        "echo": (False,),
        "suffix": (),
    }

    logprobs: Annotated[int | None, BeforeValidator(_read_logprobs)] = None
    """How many alternatives beside each token's own."""
    prompt: Annotated[str | tuple[int, ...], BeforeValidator(_read_prompt)]

    @property
    def wanted_logprobs(self) -> tuple[bool, int]:
        return self.logprobs is not None, self.logprobs or 0
