"""One of a request's answers on its way: pieces of what the engine says -> pieces of what the client may see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mohawk.api.logprobs import Likelihoods, TokenEntry
from mohawk.errors import MohawkError
from mohawk.generation.session import TextDelta


@dataclass(frozen=True, slots=True)
class Piece:
    """What came of one choice. `tokens`: ids; `entries`: None where no logprobs were asked for."""

    text: str = ""
    tokens: tuple[int, ...] = ()
    entries: tuple[TokenEntry, ...] | None = None

    @property
    def is_visible(self) -> bool:
        """Whether there is anything to show but token ids."""
        return bool(self.text or self.entries)


def join(pieces: Iterable[Piece]) -> Piece:
    """Pieces in order as one."""
    parts = list(pieces)
    entries = tuple(entry for part in parts for entry in part.entries or ())
    return Piece(
        text="".join(part.text for part in parts),
        tokens=tuple(token for part in parts for token in part.tokens),
        entries=entries if parts and parts[0].entries is not None else None,
    )


class Choice:
    """`likelihoods`: None where no logprobs were asked for. `completion_tokens`: generated so far."""

    def __init__(self, likelihoods: Likelihoods | None) -> None:
        self._likelihoods = likelihoods
        self._reason: str | None = None
        self.completion_tokens = 0

    def take(self, delta: TextDelta) -> Piece:
        """Raises MohawkError when the engine broke its word."""
        self.completion_tokens = delta.tokens
        if delta.finish_reason is not None:
            self._reason = delta.finish_reason.value
        return Piece(
            text=delta.text,
            tokens=() if delta.token is None else (delta.token,),
            entries=None if self._likelihoods is None else self._likelihoods.push(delta),
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
