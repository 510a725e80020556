"""The OpenAI API's shapes: answers whole and in pieces, models, errors."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from mohawk.api.choice import Piece
from mohawk.api.logprobs import TokenEntry, chat_logprobs, text_logprobs
from mohawk.errors import LimitError, MohawkError, UsageError

Body = dict[str, object]

DONE = b"data: [DONE]\n\n"
EVENT_BUCKET = 32
"""An event's bytes are a multiple of this: exact lengths of tokens tell an eavesdropper the topic (Whisper Leak).
Padding makes that harder, not impossible.
"""
_JSON = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
"""Made once: `json.dumps` would make one for every token."""


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
        self._opening = _JSON.encode({**self._head, "object": self.piece_object})[:-1] + ',"choices":['
        self._closing = '],"usage":null}' if extras.usage else "]}"
        """What all pieces of a stream begin and end with, written once."""

    @abstractmethod
    def _whole_choice(self, piece: Piece) -> Body: ...

    @abstractmethod
    def _piece_choice(self, piece: Piece) -> Body: ...

    @abstractmethod
    def _spell_text(self, text: str) -> str:
        """`_piece_choice` of nothing but text, without its braces, as JSON; `text` is a JSON string already."""

    @abstractmethod
    def _logprobs(self, entries: Sequence[TokenEntry]) -> Body: ...

    def first_choice(self) -> Body | None:
        """What each choice of a stream begins with."""
        return None

    def whole(self, choices: Sequence[tuple[Piece, str]], usage: Usage) -> Body:
        """`choices`: all of each one's text, and why it ended."""
        bodies = [
            self._choice(index, self._whole_choice(piece), piece, reason) | self._prompt_ids()
            for index, (piece, reason) in enumerate(choices)
        ]
        return {**self._head, "object": self.whole_object, "choices": bodies, "usage": usage.body()}

    def first(self, choices: int) -> bytes:
        """What a stream begins with: an event for each choice."""
        begin = self.first_choice()
        if begin is None:
            return b""
        bodies = [self._choice(index, begin, Piece(), None) | self._prompt_ids() for index in range(choices)]
        return b"".join([self._event(_JSON.encode(body)) for body in bodies])

    def piece(self, index: int, piece: Piece) -> bytes:
        """A piece of a stream as an event; nothing when there is nothing to show yet."""
        if not (piece.is_visible or self._extras.token_ids):
            return b""
        if self._extras.token_ids or not piece.is_plain:
            return self._event(_JSON.encode(self._choice(index, self._piece_choice(piece), piece, None)))
        content = self._spell_text(_JSON.encode(piece.text))  # a dictionary takes four times as long, for every token
        return self._event(f'{{"index":{index},{content},"logprobs":null,"finish_reason":null}}')

    def last(self, index: int, reason: str) -> bytes:
        """The end of one choice."""
        return self._event(_JSON.encode(self._choice(index, self._piece_choice(Piece()), Piece(), reason)))

    def usage(self, usage: Usage) -> bytes:
        """Where it was asked for, the last event of a stream."""
        if not self._extras.usage:
            return b""
        return event({**self._head, "object": self.piece_object, "choices": [], "usage": usage.body()})

    def _choice(self, index: int, content: Body, piece: Piece, reason: str | None) -> Body:
        logprobs = None if piece.entries is None else self._logprobs(piece.entries)
        ids: Body = {"token_ids": list(piece.tokens)} if piece.tokens and self._extras.token_ids else {}
        return {"index": index, **content, "logprobs": logprobs, "finish_reason": reason} | ids

    def _event(self, choice: str) -> bytes:
        """A piece of one choice, which is JSON already."""
        return _frame(self._opening + choice + self._closing)

    def _prompt_ids(self) -> Body:
        return {"prompt_token_ids": list(self._extras.prompt)} if self._extras.token_ids else {}


class ChatShape(Shape):
    prefix = "chatcmpl-"
    whole_object = "chat.completion"
    piece_object = "chat.completion.chunk"

    def first_choice(self) -> Body:
        return {"delta": {"role": "assistant", "content": ""}}

    def _whole_choice(self, piece: Piece) -> Body:
        content = piece.text or (None if piece.calls else "")
        calls: Body = {"tool_calls": [call.body() for call in piece.calls]} if piece.calls else {}
        return {"message": {"role": "assistant", "content": content, "refusal": None, **calls}}

    def _piece_choice(self, piece: Piece) -> Body:
        delta: Body = {"content": piece.text} if piece.text else {}
        if piece.calls:
            delta["tool_calls"] = [{"index": call.index, **call.body()} for call in piece.calls]
        return {"delta": delta}

    def _spell_text(self, text: str) -> str:
        return f'"delta":{{"content":{text}}}'

    def _logprobs(self, entries: Sequence[TokenEntry]) -> Body:
        return chat_logprobs(entries)


class TextShape(Shape):
    prefix = "cmpl-"
    whole_object = piece_object = "text_completion"

    def _whole_choice(self, piece: Piece) -> Body:
        return {"text": piece.text}

    _piece_choice = _whole_choice

    def _spell_text(self, text: str) -> str:
        return f'"text":{text}'

    def _logprobs(self, entries: Sequence[TokenEntry]) -> Body:
        return text_logprobs(entries)


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
    """One server-sent event."""
    return _frame(_JSON.encode(body))


def _frame(body: str) -> bytes:
    """JSON as an event. ASCII: some clients take U+2028 and its like for the end of a line."""
    data = b"data: " + body.encode("ascii")
    return data + b" " * (-(len(data) + 2) % EVENT_BUCKET) + b"\n\n"


def _error(message: str, kind: str, field: str | None, code: str) -> Body:
    return {"error": {"message": message, "type": kind, "param": field, "code": code}}
