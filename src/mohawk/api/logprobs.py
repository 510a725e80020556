"""Logprobs: which tokens may be told of, and OpenAI's two shapes for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mohawk.errors import MohawkError
from mohawk.generation.session import TextDelta

TokenBytes = Callable[[int], bytes]
"""What a token id adds to the text."""
Body = dict[str, object]


@dataclass(frozen=True, slots=True)
class Likelihood:
    """A token as bytes, and the natural logarithm of its probability."""

    bytes: bytes
    logprob: float

    @property
    def text(self) -> str:
        """Half a character has no text: its bytes are spelled out, as OpenAI does."""
        try:
            return self.bytes.decode("utf-8")
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in self.bytes)

    def body(self) -> Body:
        return {"token": self.text, "logprob": self.logprob, "bytes": list(self.bytes)}


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """One generated token, and the likeliest ones in its place, best first. `offset`: characters before it."""

    chosen: Likelihood
    top: tuple[Likelihood, ...]
    offset: int


class Likelihoods:
    """The entries of one answer, as its text comes: an entry is given out with the text that its token completes, so
    what is held back for a stop string stays back here too. An end-of-sequence token has none.
    """

    def __init__(self, token_bytes: TokenBytes, end_of_sequence: frozenset[int]) -> None:
        self._token_bytes = token_bytes
        self._end_of_sequence = end_of_sequence
        self._waiting: list[TokenEntry] = []
        self._offset = 0

    def push(self, delta: TextDelta) -> tuple[TokenEntry, ...]:
        """Raises MohawkError when the engine told nothing of a token."""
        if delta.token is not None and delta.token not in self._end_of_sequence:
            self._waiting.append(self._read(delta, delta.token))
        if not delta.text:
            return ()
        ready, self._waiting = tuple(self._waiting), []
        return ready

    def _read(self, delta: TextDelta, token: int) -> TokenEntry:
        told = delta.logprobs
        if told is None:
            raise MohawkError("a token without the logprobs that were asked for")
        top = zip(told.tokens, told.logprobs, strict=True)
        entry = TokenEntry(
            chosen=Likelihood(self._token_bytes(token), told.chosen),
            top=tuple(Likelihood(self._token_bytes(other), logprob) for other, logprob in top),
            offset=self._offset,
        )
        self._offset += len(entry.chosen.bytes.decode("utf-8", "ignore"))
        return entry


def chat_logprobs(entries: Sequence[TokenEntry]) -> Body:
    content = [{**entry.chosen.body(), "top_logprobs": [other.body() for other in entry.top]} for entry in entries]
    return {"content": content, "refusal": None}


def text_logprobs(entries: Sequence[TokenEntry]) -> Body:
    """The older shape. Tokens of equal text are one key there; the likelier one stays."""
    return {
        "tokens": [entry.chosen.text for entry in entries],
        "token_logprobs": [entry.chosen.logprob for entry in entries],
        "top_logprobs": [{other.text: other.logprob for other in reversed(entry.top)} for entry in entries],
        "text_offset": [entry.offset for entry in entries],
    }
