"""Which two workers do not reach each other, and which of two that lost each other has to go.

Rules, and what each stops:
- Who lost the most different neighbours goes: a worker that accuses whoever is put beside it, or is silent to them, is
  what its accusations have in common.
- Else, where only one complains, that one goes. Replacing either end mends a link that is broken in one direction; so
  no worker gains by a lie about a healthy one (D17).
- Else the one further down goes. Nobody else saw what happened between the two: a liar that is also silent evicts one
  neighbour this way, and by the next it has lost two.
Two liars together can have a worker replaced that has them for neighbours in turn; each goes too.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

MEMORY_SECONDS = 600.0
"""A cable that was mended is tried again after this."""


@dataclass(slots=True)
class BrokenLinks:
    """Pairs of workers that lost each other, and when. Time is an argument, in seconds."""

    _lost: dict[frozenset[str], float] = field(default_factory=dict)

    def remember(self, one: str, other: str, now: float) -> None:
        self._lost = {pair: at for pair, at in self._lost.items() if now - at < MEMORY_SECONDS}
        self._lost[frozenset((one, other))] = now

    def is_broken(self, one: str, other: str, now: float) -> bool:
        at = self._lost.get(frozenset((one, other)))
        return at is not None and now - at < MEMORY_SECONDS

    def count(self, worker: str, now: float) -> int:
        """How many others it lost."""
        return sum(worker in pair and now - at < MEMORY_SECONDS for pair, at in self._lost.items())


def choose_end(before: str, behind: str, complaining: Collection[str], links: BrokenLinks, now: float) -> str:
    """Which of two neighbours in the chain is replaced. `complaining`: those of the two that hear nothing from the
    other.
    """
    counts = links.count(before, now), links.count(behind, now)
    if counts[0] != counts[1]:
        return before if counts[0] > counts[1] else behind
    if len(complaining) == 1:
        return next(iter(complaining))
    return behind
