"""From the plan that serves to the next one, moving as little as needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from mohawk.nouns.model import LayerRange
from mohawk.nouns.plan import Plan
from mohawk.planning.cost import CostModel, WorkerProfile
from mohawk.planning.programme import Programme, find_slices

GIVE_AWAY = 1.25
"""A plan whose bottleneck is at most so many times the least one is good enough to stay with: moving a stage costs its
loading and every sequence's prompt once more.
"""
_NONE: Mapping[str, LayerRange] = MappingProxyType({})


def replan(
    model: CostModel,
    alive: Sequence[WorkerProfile],
    old: Plan,
    ready: Mapping[str, LayerRange] = _NONE,
    give_away: float = GIVE_AWAY,
) -> Plan:
    """A plan on the workers that are alive, with at most `give_away` times the least bottleneck. Of those plans the one
    that loads the fewest bytes; of several, the one whose tokens take the least time. The old plan itself when it is
    still possible and good enough.

    A worker that keeps its stage, or takes the one that it holds `ready`, loads nothing and needs no room for it.
    `memory` of a profile is what another stage could have while the old plan goes on: a worker without room for both
    keeps what it has, or gives it up. Raises UsageError when the workers cannot hold the model.
    """
    stages = {stage.worker: stage.layers for stage in old.stages}
    held = {name: find_slices(model, layers) for name, layers in {**ready, **stages}.items()}
    programme = Programme(model, alive, held)

    def price(worker: WorkerProfile, begin: int, end: int) -> tuple[float, float]:
        loaded = 0 if held.get(worker.name) == (begin, end) else model.weights(begin, end)
        return float(loaded), model.cost(worker, begin, end).latency

    return programme.cheapest(programme.least_bottleneck() * give_away, price)
