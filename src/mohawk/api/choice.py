"""One of a request's answers on its way: pieces of what the engine says -> pieces of what the client may see."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from mohawk.api.call_reader import CallReader, ToolCall
from mohawk.api.logprobs import Likelihoods, TokenEntry
from mohawk.errors import MohawkError
from mohawk.generation.session import FinishReason, TextDelta

TOOL_CALLS = "tool_calls"
"""OpenAI's reason of an answer that ends with calls."""


class Piece(NamedTuple):
    """What came of one choice. `tokens`: ids; `entries`: None where no logprobs were asked for."""

    text: str = ""
    tokens: tuple[int, ...] = ()
    entries: tuple[TokenEntry, ...] | None = None
    calls: tuple[ToolCall, ...] = ()

    @property
    def is_visible(self) -> bool:
        """Whether there is anything to show but token ids."""
        return bool(self.text or self.entries or self.calls)

    @property
    def is_plain(self) -> bool:
        """Whether it is text, and nothing but token ids beside it."""
        return self.entries is None and not self.calls


def join(pieces: Iterable[Piece]) -> Piece:
    """Pieces in order as one."""
    parts = list(pieces)
    entries = tuple(entry for part in parts for entry in part.entries or ())
    return Piece(
        text="".join(part.text for part in parts),
        tokens=tuple(token for part in parts for token in part.tokens),
        entries=entries if parts and parts[0].entries is not None else None,
        calls=tuple(call for part in parts for call in part.calls),
    )


class Choice:
    """`likelihoods`: None where no logprobs were asked for; `calls`: None where no tool may be called.
    `completion_tokens`: generated so far.
    """

    def __init__(self, likelihoods: Likelihoods | None, calls: CallReader | None = None) -> None:
        self._likelihoods = likelihoods
        self._calls = calls
        self._reason: str | None = None
        self.completion_tokens = 0

    def take(self, delta: TextDelta) -> Piece:
        """Raises MohawkError when the engine broke its word."""
        self.completion_tokens = delta.tokens
        text, calls = (delta.text, ()) if self._calls is None else _read(self._calls, delta)
        if delta.finish_reason is not None:
            self._reason = delta.finish_reason.value
            if delta.finish_reason is FinishReason.STOP and self._calls is not None and self._calls.has_calls:
                self._reason = TOOL_CALLS
        return Piece(
            text=text,
            tokens=() if delta.token is None else (delta.token,),
            entries=None if self._likelihoods is None else self._likelihoods.push(delta),
            calls=calls,
        )

    @property
    def is_finished(self) -> bool:
        return self._reason is not None

    @property
    def reason(self) -> str:
        """Raises MohawkError before the end: an answer that only stopped coming is not a complete one."""
        if self._reason is None:
            raise MohawkError("an answer ended without a reason")
        return self._reason


def _read(calls: CallReader, delta: TextDelta) -> tuple[str, tuple[ToolCall, ...]]:
    """The text that is none of a call's, and the calls that became complete."""
    reading = calls.push(delta.text)
    if delta.finish_reason is None:
        return reading.text, reading.calls
    rest = calls.finish()
    return reading.text + rest.text, reading.calls + rest.calls
