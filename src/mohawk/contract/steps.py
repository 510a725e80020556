"""Steps: what travels the chain of stages, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from mohawk.contract.checks import check_text, require
from mohawk.nouns.model import SamplingParameters
from mohawk.nouns.sampling import TokenLogprobs
from mohawk.nouns.segment import Segment

MAXIMUM_STAGES = 64
MAXIMUM_SEQUENCES_PER_STEP = 4096
MAXIMUM_ROWS_PER_STEP = 65536


class ElementType(IntEnum):
    F32 = 1
    F16 = 2
    BF16 = 3


@dataclass(frozen=True, slots=True)
class Source:
    """A sequence that begins with the first `tokens` tokens of `donor`: it gets a copy, or all of the donor's room
    (`adopts`), which ends the donor.
    """

    donor: int
    tokens: int
    adopts: bool

    def __post_init__(self) -> None:
        require(self.tokens > 0, "a sequence that begins with nothing of another")


@dataclass(frozen=True, slots=True)
class Opening:
    """A sequence that a stage has not seen: KV to reserve; on the last stage also how to sample, and what was generated
    before.
    """

    sequence: int
    reserve_tokens: int
    sampling: SamplingParameters | None = None
    generated: tuple[int, ...] = ()
    source: Source | None = None

    def __post_init__(self) -> None:
        require(self.reserve_tokens > 0, "an opening that reserves nothing")


@dataclass(frozen=True, slots=True)
class Growth:
    """A sequence that needs more room: for `reserve_tokens` tokens in all."""

    sequence: int
    reserve_tokens: int

    def __post_init__(self) -> None:
        require(self.reserve_tokens > 0, "a growth to nothing")


@dataclass(frozen=True, slots=True)
class StagePart:
    """One stage's part of a step, as its ticket seals it. `token_ids`: one per row, first stage only; `number`: the
    step's. `retired`: sequences that are sampled no more, and stay for those who go on from them.
    """

    segments: tuple[Segment, ...]
    token_ids: tuple[int, ...] = ()
    openings: tuple[Opening, ...] = ()
    closed: tuple[int, ...] = ()
    number: int = 0
    growths: tuple[Growth, ...] = ()
    retired: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        require(len(self.segments) <= MAXIMUM_SEQUENCES_PER_STEP, "a step of too many sequences")
        require(
            len({segment.sequence for segment in self.segments}) == len(self.segments), "a sequence twice in a step"
        )
        require(min(self._counts, default=1) > 0, "a segment without tokens")
        rows = self.rows
        require(rows <= MAXIMUM_ROWS_PER_STEP, "a step of too many rows")
        require(len(self.token_ids) in (0, rows), "token ids that do not match the rows")

    @property
    def rows(self) -> int:
        """Rows of the step's tensor: one per new token."""
        return sum(self._counts)

    @property
    def _counts(self) -> list[int]:
        return [segment.count for segment in self.segments]


@dataclass(frozen=True, slots=True)
class Step:
    """`parts`: one sealed ticket for the receiver and each stage behind it."""

    number: int
    epoch: int
    parts: tuple[bytes, ...]

    def __post_init__(self) -> None:
        require(0 < len(self.parts) <= MAXIMUM_STAGES, "a step for no stage, or for too many")


@dataclass(frozen=True, slots=True)
class SampledToken:
    """The next token of a sequence. `logprobs`: where its sampling asked for them. `failed`: its grammar cannot be
    followed any further, so the token means nothing and the sequence is over.
    """

    sequence: int
    token: int
    logprobs: TokenLogprobs | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class StepResult:
    number: int
    tokens: tuple[SampledToken, ...]
    compute_microseconds: int


@dataclass(frozen=True, slots=True)
class Pulse:
    """Between neighbours in the chain, in both directions: the connection carries."""


@dataclass(frozen=True, slots=True)
class NeighbourSilent:
    """On this epoch's route nothing arrives any more from the stage behind the sender (`is_next`) or before it. It
    names no worker: a stage can accuse its two neighbours only.
    """

    epoch: int
    is_next: bool


@dataclass(frozen=True, slots=True)
class StepFailure:
    number: int
    code: str
    message: str

    def __post_init__(self) -> None:
        check_text(self.code, self.message)
