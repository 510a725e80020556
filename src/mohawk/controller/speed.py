"""Which stage of a chain has become slow, by what the stages say that their steps took."""

from __future__ import annotations

from mohawk.controller.cluster import Cluster
from mohawk.controller.member import Member
from mohawk.planning.repair import StageTime, find_slow_stage

WATCH_SECONDS = 5.0
"""Over so long the stages' speeds are compared."""
LEAST_COMPUTE = 0.2
"""Below this part of that time a chain is idle, and its numbers say nothing."""


class Speed:
    """Looked at every WATCH_SECONDS."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._before: list[tuple[str, int]] = []

    def forget(self) -> None:
        """What was seen so far is of another chain."""
        self._before.clear()

    def find_slow(self) -> Member | None:
        """Much slower than the others since the last look, for what it holds."""
        cluster = self._cluster
        now = [(member.name, member.compute_microseconds) for member in cluster.members]
        before, self._before = self._before, now
        if [name for name, _ in before] != [name for name, _ in now]:
            return None
        seconds = [(new - old) / 1e6 for (_, new), (_, old) in zip(now, before, strict=True)]
        if sum(seconds) < LEAST_COMPUTE * WATCH_SECONDS:
            return None
        sizes = [sum(part.sealed_bytes for part in run) for run in cluster.runs]
        times = [StageTime(took, size / sum(sizes)) for took, size in zip(seconds, sizes, strict=True)]
        slow = find_slow_stage(times)
        return None if slow is None else cluster.members[slow]
