"""How fast a session's answers came: distributions in little memory, and what they add up to."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from mohawk.generation.session import TextDelta

PERCENTILES = (50, 95, 99)
_GROWTH = 1.05
"""Ratio of neighbouring buckets: a percentile is at most 2.5 % off."""
_LEAST, _MOST = 1e-6, 1e6
_LOG = math.log(_GROWTH)
_AT_ONCE = 64


class Distribution:
    """Positive numbers, counted in buckets of equal ratio: at most some hundreds, however many numbers come."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self._fresh: list[float] = []
        """Not in a bucket yet: three come with every token, and together they are counted in a fraction of the time."""

    def add(self, value: float) -> None:
        self._fresh.append(value)
        if len(self._fresh) == _AT_ONCE:
            self._count_fresh()

    @property
    def count(self) -> int:
        self._count_fresh()
        return self._buckets.total()

    def percentile(self, percent: int) -> float | None:
        """The number below which `percent` % lie; None when there are none."""
        rank = math.ceil(self.count * percent / 100)
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                return math.exp(bucket * _LOG)
        return None

    def _count_fresh(self) -> None:
        fresh, self._fresh = self._fresh, []
        self._buckets.update([round(math.log(min(max(value, _LEAST), _MOST)) / _LOG) for value in fresh])


@dataclass(slots=True)
class SessionStatistics:
    """Of all turns so far. Times in seconds."""

    turns: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompts, that did not have to be computed: they were there from earlier turns, or another's prompt."""
    generated_tokens: int = 0
    seconds: float = 0.0
    """Spent on turns, from a request's arrival to its last token."""
    first_token: Distribution = field(default_factory=Distribution)
    """From a request's arrival to its first token."""
    between_tokens: Distribution = field(default_factory=Distribution)
    batch_size: Distribution = field(default_factory=Distribution)
    """Answers that shared the step of a token."""

    @property
    def tokens_per_second(self) -> float | None:
        return self.generated_tokens / self.seconds if self.seconds > 0 else None


class AnswerTimes:
    """One answer under way, timed from `begun`. Its numbers count as they come, also when it ends early."""

    def __init__(self, statistics: SessionStatistics, begun: float) -> None:
        self._statistics = statistics
        self._last = begun
        self.tokens = 0

    def progress(self, delta: TextDelta, now: float) -> None:
        """Another piece came."""
        tokens = delta.tokens
        fresh = tokens - self.tokens
        if fresh <= 0:
            return
        if not self.tokens:
            self._statistics.cached_tokens += delta.cached
        self._statistics.batch_size.add(delta.batch)
        spent = now - self._last
        kind = self._statistics.between_tokens if self.tokens else self._statistics.first_token
        kind.add(spent / fresh)
        self._statistics.seconds += spent
        self._statistics.generated_tokens += fresh
        self._last, self.tokens = now, tokens
