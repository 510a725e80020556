"""The sequences that must keep to a grammar, on the last stage: their masks, computed beside the pass.

`begin` before the pass, `finish` after it: the child works in between, and the compute thread never does. Whatever goes
wrong ends the sequences that it concerns, as a `failed` token, and no other.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from mohawk.checkpoint.grammar import Beginning, GrammarProcess, Masks
from mohawk.errors import MohawkError, UnavailableError
from mohawk.nouns.sampling import Grammar

log = logging.getLogger(__name__)

HEADROOM = 512 << 20
"""Bytes that all grammars under way may take together."""
STEP_SECONDS = 2.0
"""After which a step goes on without its constrained sequences."""

StartProcess = Callable[[], GrammarProcess]


@dataclass(slots=True)
class _News:
    """What the child has not been told yet."""

    opened: list[Beginning] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    accepted: list[tuple[int, int]] = field(default_factory=list)


class Constraints:
    """Used from the compute thread only. `start` makes a fresh child; while there is none, every grammar fails."""

    def __init__(self, start: StartProcess) -> None:
        """Waits until the child is ready, or shows that it will never be."""
        self._start = start
        self._starter = ThreadPoolExecutor(1, "grammars")
        self._starting: Future[GrammarProcess | None] | None = None
        self._process = _start_ready(start)
        self._followed: set[int] = set()
        self._failed: set[int] = set()
        self._news = _News()
        self._wanted: list[list[int]] = []
        """What was asked for in each step whose answer is still to come."""
        self._deadline = 0.0

    def open(self, sequence: int, grammar: Grammar, generated: Sequence[int]) -> None:
        """Follow a sequence from what it has generated already."""
        self._followed.add(sequence)
        self._news.opened.append(Beginning(sequence, grammar, tuple(generated)))

    def close(self, sequence: int) -> None:
        """Of a sequence without a grammar: nothing."""
        if sequence in self._followed:
            self._followed.discard(sequence)
            self._failed.discard(sequence)
            self._news.opened = [one for one in self._news.opened if one.sequence != sequence]
            self._news.accepted = [one for one in self._news.accepted if one[0] != sequence]
            self._news.closed.append(sequence)

    def clear(self) -> None:
        """Close all sequences."""
        for sequence in list(self._followed):
            self.close(sequence)

    def begin(self, sampled: Sequence[int]) -> None:
        """Let the child work on the masks of those of `sampled` that have a grammar."""
        wanted = [sequence for sequence in sampled if sequence in self._followed - self._failed]
        if not wanted and not self._news.opened:
            return
        process = self._current()
        if process is None:
            self._give_up()
            return
        news, self._news = self._news, _News()
        self._deadline = time.monotonic() + STEP_SECONDS
        self._wanted.append(wanted)
        try:
            process.send_step(news.opened, news.closed, news.accepted, wanted, self._deadline)
        except UnavailableError:
            self._lose(process)

    def finish(self, sampled: Sequence[int]) -> Masks:
        """The masks of the step that `begin` named, and those of `sampled` that are over."""
        allowed: dict[int, bytes] = {}
        while self._process is not None and any(self._wanted):  # an answer without masks may be read later
            try:
                masks = self._process.receive_step(self._wanted[0], self._deadline)
            except UnavailableError:
                self._lose(self._process)
                break
            del self._wanted[0]
            self._failed |= masks.failed & self._followed
            allowed.update(masks.allowed)
        return Masks(allowed, frozenset(self._failed.intersection(sampled)))

    def accept(self, sequence: int, token: int) -> None:
        """`token` was sampled for this sequence."""
        if sequence in self._followed - self._failed:
            self._news.accepted.append((sequence, token))

    def stop(self) -> None:
        """End the child."""
        process = self._current(wait=True)
        if process is not None:
            process.kill()
        self._process = None
        self._starter.shutdown()

    def _current(self, *, wait: bool = False) -> GrammarProcess | None:
        """The child, once it is ready."""
        if self._starting is not None and (wait or self._starting.done()):
            self._process, self._starting = self._starting.result(), None
        return self._process

    def _lose(self, process: GrammarProcess) -> None:
        """All that the child followed is over; a fresh one takes its place, and the pass does not wait for it."""
        log.warning("the grammars' process failed; %d sequences end", len(self._followed))
        process.kill()
        self._process = None
        self._wanted.clear()
        self._give_up()
        self._starting = self._starter.submit(_start_ready, self._start)

    def _give_up(self) -> None:
        self._failed |= self._followed
        self._news = _News()


def _start_ready(start: StartProcess) -> GrammarProcess | None:
    """A child that is ready; None when this model's tokenizer cannot be followed."""
    process: GrammarProcess | None = None
    try:
        process = start()
        process.await_ready()
    except MohawkError as error:
        log.warning("no answer can keep to a grammar here: %s", error.message)
        if process is not None:
            process.kill()
        return None
    return process
