"""The OpenAI API's shapes: answers whole and in pieces, models, errors."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from mohawk.errors import LimitError, MohawkError, UsageError
from mohawk.generation.session import FinishReason, TextDelta

Body = dict[str, object]

DONE = b"data: [DONE]\n\n"
EVENT_BUCKET = 32
"""An event's bytes are a multiple of this: exact lengths of tokens tell an eavesdropper the topic (Whisper Leak).
Padding makes that harder, not impossible.
"""


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int
    completion_tokens: int

    def body(self) -> Body:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }


@dataclass(frozen=True, slots=True)
class Extras:
    """What a client may ask for beside the text. `prompt`: the prompt's token ids."""

    usage: bool
    token_ids: bool
    prompt: tuple[int, ...]


class Shape(ABC):
    """The shapes of one answer. `created`: seconds since 1970."""

    prefix: str
    whole_object: str
    piece_object: str

    def __init__(self, name: str, created: int, model: str, extras: Extras) -> None:
        self._head = {"id": self.prefix + name, "created": created, "model": model}
        self._extras = extras

    @abstractmethod
    def _whole_choice(self, text: str) -> Body: ...

    @abstractmethod
    def _piece_choice(self, text: str) -> Body: ...

    def first_choice(self) -> Body | None:
        """What a stream begins with."""
        return None

    def whole(self, text: str, tokens: Sequence[int], reason: FinishReason, usage: Usage) -> Body:
        choice = {"index": 0, **self._whole_choice(text), "logprobs": None, "finish_reason": reason.value}
        choice |= self._prompt_ids() | self._token_ids(tokens)
        return {**self._head, "object": self.whole_object, "choices": [choice], "usage": usage.body()}

    def first(self) -> list[Body]:
        choice = self.first_choice()
        return [] if choice is None else [self._piece(choice | self._prompt_ids(), None)]

    def piece(self, delta: TextDelta) -> list[Body]:
        """A piece of a stream; none when there is nothing to show yet."""
        if not (delta.text or self._extras.token_ids):
            return []
        tokens = () if delta.token is None else (delta.token,)
        return [self._piece(self._piece_choice(delta.text) | self._token_ids(tokens), None)]

    def last(self, reason: FinishReason, usage: Usage) -> list[Body]:
        """The end of a stream: the reason, and the usage where it was asked for."""
        pieces = [self._piece(self._piece_choice(""), reason)]
        if self._extras.usage:
            pieces.append({**self._head, "object": self.piece_object, "choices": [], "usage": usage.body()})
        return pieces

    def _piece(self, choice: Body, reason: FinishReason | None) -> Body:
        choice = {"index": 0, **choice, "logprobs": None, "finish_reason": reason and reason.value}
        usage: Body = {"usage": None} if self._extras.usage else {}
        return {**self._head, "object": self.piece_object, "choices": [choice], **usage}

    def _token_ids(self, tokens: Sequence[int]) -> Body:
        return {"token_ids": list(tokens)} if self._extras.token_ids else {}

    def _prompt_ids(self) -> Body:
        return {"prompt_token_ids": list(self._extras.prompt)} if self._extras.token_ids else {}


class ChatShape(Shape):
    prefix = "chatcmpl-"
    whole_object = "chat.completion"
    piece_object = "chat.completion.chunk"

    def first_choice(self) -> Body:
        return {"delta": {"role": "assistant", "content": ""}}

    def _whole_choice(self, text: str) -> Body:
        return {"message": {"role": "assistant", "content": text, "refusal": None}}

    def _piece_choice(self, text: str) -> Body:
        return {"delta": {"content": text} if text else {}}


class TextShape(Shape):
    prefix = "cmpl-"
    whole_object = piece_object = "text_completion"

    def _whole_choice(self, text: str) -> Body:
        return {"text": text}

    _piece_choice = _whole_choice


def model_body(model_id: str, created: int) -> Body:
    return {"id": model_id, "object": "model", "created": created, "owned_by": "mohawk"}


def list_body(entries: Sequence[Body]) -> Body:
    return {"object": "list", "data": entries}


def error_body(error: MohawkError) -> Body:
    """What a client hears of an error. Our own troubles have a code and nothing else: their messages are for operators
    and may name a worker or a file (I13).
    """
    if isinstance(error, UsageError):
        message = f"{error.message} ({error.hint})" if error.hint else error.message
        kind = "rate_limit_error" if isinstance(error, LimitError) else "invalid_request_error"
        return _error(message, kind, error.field, error.code)
    status = HTTPStatus(error.http_status)
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        message = "the model cannot be served right now; try again later"
    else:
        message = "the server failed to answer; the request id names it in the server's log"
    return _error(message, "server_error", None, error.code)


def status_body(status: int) -> Body:
    """An HTTP error of the routing layer."""
    phrase = HTTPStatus(status).phrase
    return _error(phrase, "invalid_request_error", None, phrase.lower().replace(" ", "_"))


def event(body: Body) -> bytes:
    """One server-sent event. ASCII: some clients take U+2028 and its like for the end of a line."""
    data = b"data: " + json.dumps(body, separators=(",", ":"), allow_nan=False).encode("ascii")
    return data + b" " * (-(len(data) + 2) % EVENT_BUCKET) + b"\n\n"


def _error(message: str, kind: str, field: str | None, code: str) -> Body:
    return {"error": {"message": message, "type": kind, "param": field, "code": code}}
