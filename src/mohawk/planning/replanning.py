"""From the plan that serves to the next one, moving as little as needed."""

from __future__ import annotations

from collections.abc import Sequence

from mohawk.nouns.plan import Plan
from mohawk.planning.cost import CostModel, WorkerProfile
from mohawk.planning.programme import Programme, find_slices

GIVE_AWAY = 1.25
"""A plan whose bottleneck is at most so many times the least one is good enough to stay with: moving a stage costs its
loading and every sequence's prompt once more.
"""


def replan(model: CostModel, alive: Sequence[WorkerProfile], old: Plan, give_away: float = GIVE_AWAY) -> Plan:
    """A plan on the workers that are alive, with at most `give_away` times the least bottleneck. Of those plans the one
    that loads the fewest bytes; of several, the one whose tokens take the least time. The old plan itself when it is
    still possible and good enough.

    A worker that keeps its stage loads nothing; one whose stage changes opens all of its new run, whatever it had
    before. Raises UsageError when the workers cannot hold the model.
    """
    programme = Programme(model, alive)
    held = {stage.worker: find_slices(model, stage.layers) for stage in old.stages}

    def price(worker: WorkerProfile, begin: int, end: int) -> tuple[float, float]:
        loaded = 0 if held.get(worker.name) == (begin, end) else model.weights(begin, end)
        return float(loaded), model.cost(worker, begin, end).latency

    return programme.cheapest(programme.least_bottleneck() * give_away, price)
