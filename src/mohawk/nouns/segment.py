"""What one step computes of one sequence: the unit that the batcher, the wire and the stages speak of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Segment:
    """`count` new tokens of one sequence, the first at position `start`; `sample`: the last of them asks for a next
    token.
    """

    sequence: int
    start: int
    count: int
    sample: bool
