"""Which worker takes the place of one that is gone, what spares should hold ready, and who holds a chain up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from mohawk.nouns.model import LayerRange

SLOW = 4.0
"""A stage that takes so many times what its share of the model takes elsewhere in the chain is slow."""


@dataclass(frozen=True, slots=True)
class Spare:
    """A worker without a place in the chain; `layers`: the stage that it holds ready, if any."""

    name: str
    layers: LayerRange | None


@dataclass(frozen=True, slots=True)
class StageTime:
    """What a stage took for the same steps as the others. `share`: its part of the model's bytes, 0 to 1."""

    seconds: float
    share: float


def choose_replacement(layers: LayerRange, spares: Sequence[Spare]) -> Spare | None:
    """The spare to take over `layers`: one that holds them, else one that holds nothing, else any; the first of
    several.
    """
    return min(spares, key=lambda spare: (spare.layers != layers, spare.layers is not None), default=None)


def choose_readiness(stages: Sequence[tuple[LayerRange, int]], spares: Sequence[Spare]) -> LayerRange:
    """What the next spare should hold ready: the stage that fewest spares hold; of those, the one with the most bytes,
    which takes the longest to load. `stages`: layers and bytes.
    """
    held = Counter(spare.layers for spare in spares)
    return min(stages, key=lambda stage: (held[stage[0]], -stage[1]))[0]


def find_slow_stage(stages: Sequence[StageTime]) -> int | None:
    """The stage that is `SLOW` or more times slower than the median of the others, each by its share; None: nobody, or
    nobody to compare with.
    """
    if len(stages) < 2 or any(stage.seconds <= 0.0 for stage in stages):
        return None
    paces = [stage.seconds / stage.share for stage in stages]
    slowest = max(range(len(paces)), key=paces.__getitem__)
    others = median(pace for index, pace in enumerate(paces) if index != slowest)
    return slowest if paces[slowest] >= SLOW * others else None


def find_holdup(step: int, last_steps: Sequence[int]) -> int:
    """The stage that holds `step` back: the first that has not done it. `last_steps`: the newest step that each stage
    says it has done, in the order of the chain. When all say that they did, the last one never answered.
    """
    return next((index for index, last in enumerate(last_steps) if last < step), len(last_steps) - 1)
