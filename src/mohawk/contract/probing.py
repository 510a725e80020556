"""Measuring a worker before it gets a stage (docs/spec/planning.md 1). Part of the closed set in `contract.messages`.

What a worker says of itself decides how many layers it gets, and nothing else: a liar gains layers that it was going to
be trusted with anyway, or loses them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from mohawk.contract.checks import require
from mohawk.contract.steps import MAXIMUM_ROWS_PER_STEP, ElementType

MOST_POINTS = 16
PADDING_BYTES = 48 << 10
_MOST_NANOSECONDS = 1 << 43
"""Over two hours for one step."""
_MOST_BYTES = 1 << 50
"""More than any machine has."""


@dataclass(frozen=True, slots=True)
class ProbeStage:
    """Time steps of so many rows, each row count once and ascending; none: only memory is asked for."""

    manifest: bytes
    config: bytes
    compute: ElementType
    rows: tuple[int, ...]

    def __post_init__(self) -> None:
        require(len(self.rows) <= MOST_POINTS, "a probe of too many sizes")
        require(all(0 < rows <= MAXIMUM_ROWS_PER_STEP for rows in self.rows), "a probe of steps out of bounds")
        require(all(one < other for one, other in pairwise(self.rows)), "a probe of sizes out of order")


@dataclass(frozen=True, slots=True)
class ProbePoint:
    """What a step of so many rows took."""

    rows: int
    nanoseconds: int

    def __post_init__(self) -> None:
        require(0 < self.rows <= MAXIMUM_ROWS_PER_STEP, "a measurement of a step out of bounds")
        require(self.nanoseconds <= _MOST_NANOSECONDS, "a measurement of an impossible time")


@dataclass(frozen=True, slots=True)
class StageProbed:
    """`memory_bytes`: what a stage could have. Per row count what one layer takes, and what the first and the last
    stage take beside their layers; empty where there was no room to measure.
    """

    memory_bytes: int
    layer: tuple[ProbePoint, ...] = ()
    embedding: tuple[ProbePoint, ...] = ()
    head: tuple[ProbePoint, ...] = ()

    def __post_init__(self) -> None:
        require(self.memory_bytes <= _MOST_BYTES, "a measurement of impossible memory")
        require(all(point.nanoseconds > 0 for point in self.layer), "a layer that takes no time")
        for points in (self.layer, self.embedding, self.head):
            require(len(points) <= MOST_POINTS, "more measurements than were asked for")
            require(all(a.rows < b.rows for a, b in pairwise(points)), "measurements out of order")


@dataclass(frozen=True, slots=True)
class ProbeLink:
    """Answered at once: empty to time a round trip, padded to time bytes."""

    padding: bytes = b""

    def __post_init__(self) -> None:
        require(len(self.padding) <= PADDING_BYTES, "a probe of too many bytes")


@dataclass(frozen=True, slots=True)
class LinkProbed:
    """A probe of the link has arrived."""
