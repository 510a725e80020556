"""Tokens -> text that may be shown: whole characters, and nothing of a stop string.

Two filters, one after the other:

- `Detokeniser`: a token may end in the middle of a character. Text is given out when no later token can change it. Most
  tokens add the same to any text, and are looked up; for the others a short window of tokens is decoded, not the whole
  history, so the cost is linear.
- `StopFilter`: a stop string may begin in one token and end in another. Text that may still become one is held back.
  The text ends before the first stop string to be complete, wherever tokens begin and end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

UNFINISHED = "\ufffd"
"""What decoders write for bytes that are no character, or not one yet."""
CHARACTER_TOKENS = 4
"""A UTF-8 character has at most 4 bytes, a token at least one."""

Decode = Callable[[list[int]], str]
PlainText = Callable[[int], str | None]
"""What a token adds to a text that ends with a whole character, whatever that text is; None where it depends."""


class Detokeniser:
    """Text of tokens as they come. `context` is what came before them (the prompt's end): decoders drop a space at the
    beginning of what they are given.
    """

    def __init__(
        self, decode: Decode, context: Sequence[int] = (), plain_text: PlainText = lambda _token: None
    ) -> None:
        self._decode = decode
        self._plain_text = plain_text
        self._window = list(context[-CHARACTER_TOKENS:])
        self._unfinished = 0
        """Tokens since the text last ended with a whole character."""
        self._text = decode(self._window) if self._window else ""
        self._shown = len(self._text.rstrip(UNFINISHED))
        self._is_whole = self._shown == len(self._text) > 0
        self._is_stale = False
        """Tokens were looked up: the window has them, the text has not."""

    def push(self, token: int) -> str:
        """The text that `token` completes, often none."""
        plain = self._plain_text(token) if self._is_whole else None
        self._window.append(token)
        return self._read() if plain is None else self._add(plain)

    def _add(self, plain: str) -> str:
        self._is_stale = True
        if len(self._window) > 2 * CHARACTER_TOKENS:
            del self._window[:-CHARACTER_TOKENS]
        return plain

    def _read(self) -> str:
        """What the window's last token brings, by decoding all of it."""
        if self._is_stale:
            del self._window[: -CHARACTER_TOKENS - 1]
            self._shown = len(self._decode(self._window[:-1]))
            self._is_stale = False
        self._text = self._decode(self._window)
        self._is_whole = not self._text.endswith(UNFINISHED) and self._text != ""
        if not self._text.endswith(UNFINISHED):
            return self._settle()
        self._unfinished += 1
        if self._unfinished < CHARACTER_TOKENS:
            return self._show(len(self._text.rstrip(UNFINISHED)))
        # The window ends in bytes that are no character. Only the last mark may still become one.
        delta = self._show(len(self._text) - 1)
        if self._unfinished >= 2 * CHARACTER_TOKENS:
            self._restart(CHARACTER_TOKENS)
            self._shown = len(self._text) - 1
            self._unfinished = CHARACTER_TOKENS
        return delta

    def finish(self) -> str:
        """The rest, with U+FFFD where a character stayed unfinished."""
        if self._is_stale:  # all of it is whole, and was shown
            return ""
        return self._show(len(self._text))

    def _settle(self) -> str:
        """All text is whole. A window that has grown long is cut to the tokens behind the last visible piece, as
        context of the next: not at every token, which would decode twice for each.
        """
        delta = self._show(len(self._text))
        if len(self._window) > 2 * CHARACTER_TOKENS:
            if delta:
                self._restart(self._unfinished + 1)
                self._shown = len(self._text)
            else:  # tokens without text, such as special ones: forget the latest
                self._window.pop()
        self._unfinished = 0
        return delta

    def _show(self, end: int) -> str:
        delta = self._text[self._shown : end]
        self._shown = max(self._shown, end)
        return delta

    def _restart(self, tokens: int) -> None:
        self._window = self._window[-tokens:]
        self._text = self._decode(self._window)


class StopFilter:
    """Passes text on until a stop string is complete. For each stop string, Knuth-Morris-Pratt: how much of it the text
    so far ends with.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [(stop, _failure_table(stop)) for stop in stops]
        self._matched = [0] * len(stops)
        self._held = ""
        self.is_stopped = False

    def push(self, text: str) -> str:
        """What of the held text and `text` can be shown."""
        if self.is_stopped:
            return ""
        if not self._stops:
            return text
        held, self._held = self._held, ""
        for position, character in enumerate(text, start=len(held) + 1):
            length = self._advance(character)
            if length:
                self.is_stopped = True
                return (held + text)[: position - length]
        text = held + text
        end = len(text) - max(self._matched)
        self._held = text[end:]
        return text[:end]

    def finish(self) -> str:
        """What was held back: no stop string will complete it."""
        held, self._held = self._held, ""
        return held

    def _advance(self, character: str) -> int:
        """Length of the longest stop string that `character` completes, or 0."""
        for index, (stop, failure) in enumerate(self._stops):
            matched = self._matched[index]
            while matched and stop[matched] != character:
                matched = failure[matched - 1]
            self._matched[index] = matched + (stop[matched] == character)
        done = [
            len(stop) for (stop, _), matched in zip(self._stops, self._matched, strict=True) if matched == len(stop)
        ]
        return max(done, default=0)


class TextStream:
    """The text of one sequence. `is_stopped`: the model or a stop string ended it; then only `finish` is left to
    call.
    """

    def __init__(
        self,
        decode: Decode,
        *,
        context: Sequence[int] = (),
        stops: Sequence[str] = (),
        end_of_sequence: frozenset[int] = frozenset(),
        plain_text: PlainText = lambda _token: None,
    ) -> None:
        self._characters = Detokeniser(decode, context, plain_text)
        self._filter = StopFilter(stops)
        self._end_of_sequence = end_of_sequence
        self._is_ended = False

    @property
    def is_stopped(self) -> bool:
        return self._is_ended or self._filter.is_stopped

    def push(self, token: int) -> str:
        """The text that may be shown now. An end-of-sequence token has none."""
        if self.is_stopped:
            return ""
        if token in self._end_of_sequence:
            self._is_ended = True
            return ""
        return self._filter.push(self._characters.push(token))

    def finish(self) -> str:
        """The text still held back; nothing when a stop string ended it."""
        if self._filter.is_stopped:
            return ""
        shown = self._filter.push(self._characters.finish())
        return shown if self._filter.is_stopped else shown + self._filter.finish()


def _failure_table(stop: str) -> tuple[int, ...]:
    """For each prefix of `stop`, the length of its longest proper prefix that is also its suffix."""
    table = [0] * len(stop)
    matched = 0
    for index in range(1, len(stop)):
        while matched and stop[index] != stop[matched]:
            matched = table[matched - 1]
        matched += stop[index] == stop[matched]
        table[index] = matched
    return tuple(table)
