"""What a stage costs on a worker: seconds per step and bytes of memory, from measured numbers
(docs/spec/planning.md 2).

A step is a batch of rows, one for each sequence that decodes. While one step is in one stage others are in the others,
so the slowest stage decides how many tokens come out per second, and the sum of all stages how long one token takes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from mohawk.errors import UsageError
from mohawk.nouns.plan import SliceSize

WORKSPACE_BYTES = 150 << 20
"""What a worker takes beside weights, keys and values: claimed and measured by bench/bench_decode.py."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Seconds over the rows of a step: (rows, seconds) as measured, rows ascending. Straight lines in between; below
    the first point as there, beyond the last one in proportion. Raises UsageError.
    """

    points: tuple[tuple[int, float], ...]

    def __post_init__(self) -> None:
        rows = [row for row, _ in self.points]
        if not rows or rows[0] < 1 or any(one >= other for one, other in pairwise(rows)):
            raise UsageError("measured points out of order")
        if not all(0 <= seconds < float("inf") for _, seconds in self.points):
            raise UsageError("a measured time that is no time")

    def at(self, rows: int) -> float:
        """Seconds for so many rows."""
        place = bisect_left(self.points, (rows, 0.0))
        if place == 0:
            return self.points[0][1]
        (low, before) = self.points[place - 1]
        if place == len(self.points):
            return before * rows / low
        (high, after) = self.points[place]
        return before + (after - before) * (rows - low) / (high - low)


@dataclass(frozen=True, slots=True)
class WorkerProfile:
    """A worker as it was measured.

    `memory`: bytes that it could give a stage. `layer`, `embedding`, `head`: compute time of one layer, and of what the
    first and the last stage have beside their layers; None where it had no room for the measurement, and so has none
    for the real thing. `round_trip` (seconds) and `bandwidth` (bytes/s) of its link. `may_hold_ends`: it may see token
    ids and logits where the policy asks.
    """

    name: str
    memory: int
    layer: Curve
    embedding: Curve | None
    head: Curve | None
    round_trip: float
    bandwidth: float
    may_hold_ends: bool = True

    def __post_init__(self) -> None:
        if not (self.memory >= 0 and 0 <= self.round_trip < float("inf") and self.bandwidth > 0):
            raise UsageError(f"measurements of {self.name} that cannot be")


@dataclass(frozen=True, slots=True)
class Workload:
    """What is to be served. `slices`: the model's, in layer order, with the bytes they take in memory; `rows`: of one
    step; `row_bytes`: of one row between stages; `kv_bytes`: of one layer's keys and values, for all tokens that the
    pool is to hold.
    """

    slices: tuple[SliceSize, ...]
    rows: int
    row_bytes: int
    kv_bytes: int

    def __post_init__(self) -> None:
        if not self.slices or min(self.rows, self.row_bytes, self.kv_bytes) < 1:
            raise UsageError("a workload without slices, rows or bytes")


@dataclass(frozen=True, slots=True)
class StageCost:
    """`busy`: seconds per step in which this stage can begin no other; `latency`: until its rows are with the next."""

    busy: float
    latency: float


class CostModel:
    """Stages of one workload, by their slices [begin, end)."""

    def __init__(self, load: Workload) -> None:
        self.load = load
        self._layers = _sums([len(part.layers) for part in load.slices])
        self._bytes = _sums([part.size for part in load.slices])

    @property
    def end(self) -> int:
        """Slices of the whole model."""
        return len(self.load.slices)

    def weights(self, begin: int, end: int) -> int:
        """Bytes of the slices."""
        return self._bytes[end] - self._bytes[begin]

    def memory(self, begin: int, end: int) -> int:
        """Bytes that a worker needs for the stage: weights, keys and values, workspace."""
        layers = self._layers[end] - self._layers[begin]
        return self.weights(begin, end) + layers * self.load.kv_bytes + WORKSPACE_BYTES

    def cost(self, worker: WorkerProfile, begin: int, end: int, rows: int | None = None) -> StageCost:
        """Of a step of `rows` rows; None: the workload's. Only for what `is_possible`. Sending overlaps the next step's
        computing, so that the longer of both keeps a stage busy; half a round trip is one way to the next stage.
        """
        rows = rows or self.load.rows
        compute = (self._layers[end] - self._layers[begin]) * worker.layer.at(rows)
        if begin == 0 and worker.embedding is not None:
            compute += worker.embedding.at(rows)
        is_last = end == self.end
        if is_last and worker.head is not None:
            compute += worker.head.at(rows)
        send = 0.0 if is_last else rows * self.load.row_bytes / worker.bandwidth
        return StageCost(max(compute, send), compute + send + worker.round_trip / 2)

    def is_possible(self, worker: WorkerProfile, begin: int, end: int) -> bool:
        """It fits, and the worker may have it."""
        if begin == 0 and worker.embedding is None:
            return False
        if end == self.end and worker.head is None:
            return False
        return self.may_have(worker, begin, end) and self.memory(begin, end) <= worker.memory

    def may_have(self, worker: WorkerProfile, begin: int, end: int) -> bool:
        """The policy lets the worker have it."""
        return worker.may_hold_ends or not (begin == 0 or end == self.end)


def _sums(values: Sequence[int]) -> list[int]:
    return list(accumulate(values, initial=0))
