"""What one step asks of every stage."""

from __future__ import annotations

from dataclasses import dataclass

from mohawk.nouns.model import SamplingParameters
from mohawk.nouns.segment import Segment


@dataclass(frozen=True, slots=True)
class Source:
    """Where a new sequence has its first `tokens` tokens from: `donor`'s keys and values, copied, or with all of its
    room taken over (`adopts`), which ends the donor.
    """

    donor: int
    tokens: int
    adopts: bool


@dataclass(frozen=True, slots=True)
class OpeningOrder:
    """A sequence new to the stages: tokens of KV to reserve (whole blocks), and what its sampler starts from."""

    sequence: int
    reserve_tokens: int
    sampling: SamplingParameters
    generated: tuple[int, ...]
    source: Source | None = None

    @property
    def size(self) -> int:
        """About its bytes on the way to the last stage, never less."""
        grammar = 0 if self.sampling.grammar is None else len(self.sampling.grammar.text.encode("utf-8"))
        return 256 + grammar + 20 * len(self.sampling.logit_bias) + 5 * len(self.generated)


@dataclass(frozen=True, slots=True)
class GrowthOrder:
    """A sequence needs more room: `reserve_tokens` in all."""

    sequence: int
    reserve_tokens: int


@dataclass(frozen=True, slots=True)
class StepOrder:
    """One step, in the order in which a stage does it: `closed` are freed, `retired` sample no more, `growths` and
    `openings` take room, the segments are computed. `token_ids`: those of all segments, in order. An order without
    segments only closes.
    """

    number: int
    segments: tuple[Segment, ...]
    token_ids: tuple[int, ...]
    openings: tuple[OpeningOrder, ...] = ()
    growths: tuple[GrowthOrder, ...] = ()
    closed: tuple[int, ...] = ()
    retired: tuple[int, ...] = ()
