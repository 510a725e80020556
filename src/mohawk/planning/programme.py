"""The exact programme: contiguous runs of slices over unequal workers, weak ones left out.

Two searches over the same states. A state is how many slices are placed and who may still be used; with few workers in
any order (a set of those that are used), with many in the order given (how many of them were passed). First the least
bottleneck: the smallest limit under which the runs reach the last slice, by bisection over all costs that a stage can
have. It is enough to know how far each state reaches at most: a later beginning is never worse, for a run that is
shorter at its front costs no more and needs no more memory. Then, under that limit times what may be given away, the
cheapest way through.

Sorting workers into any order is as hard as partition, so the number of sets is bounded; `ANY_ORDER_STATES` says where.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from types import MappingProxyType

from mohawk.errors import UsageError
from mohawk.nouns.model import LayerRange
from mohawk.nouns.plan import Plan, PlannedStage
from mohawk.planning.cost import CostModel, WorkerProfile

ANY_ORDER_STATES = 1 << 20
"""Sets of workers x slices x slices, up to which workers are tried in any order: 8 workers for 64 slices, 10 for 32."""

Price = Callable[[WorkerProfile, int, int], tuple[float, float]]
"""What a worker's run of slices [begin, end) costs, to be summed over the stages: the least sum wins, the first number
before the second.
"""
_Run = tuple[int, int, int]
"""Worker number, begin, end."""


class Programme:
    """One model on these workers. Bottlenecks are seconds per step at the workload's rows. `held`: runs of slices that
    workers (by name) have already, so that they need no room for them.
    """

    def __init__(
        self,
        model: CostModel,
        workers: Sequence[WorkerProfile],
        held: Mapping[str, tuple[int, int]] = MappingProxyType({}),
    ) -> None:
        self._model = model
        self._held = held
        self._workers = tuple(workers)
        self.in_any_order = (1 << len(workers)) * model.end**2 <= ANY_ORDER_STATES
        self._busy = [
            [[self._busy_time(worker, begin, end) for end in range(model.end + 1)] for begin in range(model.end)]
            for worker in self._workers
        ]

    def least_bottleneck(self) -> float:
        """Raises UsageError when no placement is possible."""
        limits = sorted({time for table in self._busy for row in table for time in row if time < float("inf")})
        place = bisect_left(limits, True, key=self._reaches_end)  # noqa: FBT003 - the value that is looked for
        if place == len(limits):
            raise UsageError("no placement of this model's slices on these workers is possible", field="workers")
        return limits[place]

    def cheapest(self, limit: float, price: Price) -> Plan:
        """The plan of the least sum of prices, none of whose stages is busy for longer than `limit`. Raises UsageError
        when there is none.
        """
        best: dict[tuple[int, int], tuple[tuple[float, float], tuple[_Run, ...]]] = {(0, 0): ((0.0, 0.0), ())}
        found: list[tuple[tuple[float, float], tuple[_Run, ...]]] = []
        for state in self._states():
            for begin in range(self._model.end):
                if (known := best.pop((state, begin), None)) is None:
                    continue
                (first, second), runs = known
                for worker, following in self._choices(state):
                    for end in self._ends(worker, begin, limit):
                        step = price(self._workers[worker], begin, end)
                        entry = (first + step[0], second + step[1]), (*runs, (worker, begin, end))
                        if end == self._model.end:
                            found.append(entry)
                        elif (following, end) not in best or entry[0] < best[following, end][0]:
                            best[following, end] = entry
        if not found:
            raise UsageError("no placement of this model's slices on these workers is possible", field="workers")
        return self._plan(min(found, key=lambda entry: entry[0])[1])

    def _busy_time(self, worker: WorkerProfile, begin: int, end: int) -> float:
        """Infinite where the run is impossible."""
        model = self._model
        if self._held.get(worker.name) == (begin, end):
            is_possible = model.may_have(worker, begin, end)
        else:
            is_possible = begin < end and model.is_possible(worker, begin, end)
        return model.cost(worker, begin, end).busy if is_possible else float("inf")

    def _states(self) -> range:
        """In an order in which every choice leads to a later one."""
        return range(1 << len(self._workers)) if self.in_any_order else range(len(self._workers) + 1)

    def _choices(self, state: int) -> Iterator[tuple[int, int]]:
        """(worker, state after it) for everybody who may hold the next stage."""
        for worker in range(len(self._workers)):
            if self.in_any_order and not state >> worker & 1:
                yield worker, state | 1 << worker
            elif not self.in_any_order and worker >= state:
                yield worker, worker + 1

    def _ends(self, worker: int, begin: int, limit: float) -> Iterator[int]:
        """Where a run of this worker may end. The last slice may be cheaper than the one before it, for nothing is sent
        behind it, so that no end is passed over.
        """
        row = self._busy[worker][begin]
        return (end for end in range(begin + 1, self._model.end + 1) if row[end] <= limit)

    def _reaches_end(self, limit: float) -> bool:
        furthest = {0: 0}
        for state in self._states():
            begin = furthest.pop(state, None)
            if begin is None:
                continue
            for worker, following in self._choices(state):
                end = max(self._ends(worker, begin, limit), default=begin)
                if end == self._model.end:
                    return True
                furthest[following] = max(furthest.get(following, 0), end)
        return False

    def _plan(self, runs: Sequence[_Run]) -> Plan:
        slices = self._model.load.slices
        return Plan(
            tuple(
                PlannedStage(
                    self._workers[worker].name, LayerRange(slices[begin].layers.first, slices[end - 1].layers.last)
                )
                for worker, begin, end in runs
            )
        )


def find_slices(model: CostModel, layers: LayerRange) -> tuple[int, int]:
    """[begin, end) of a stage's slices. Raises UsageError: they do not begin and end where slices do."""
    slices = model.load.slices
    for begin, end in product(range(len(slices)), range(1, len(slices) + 1)):
        if begin < end and (slices[begin].layers.first, slices[end - 1].layers.last) == (layers.first, layers.last):
            return begin, end
    raise UsageError("a plan whose stages do not begin and end where this model's slices do", field="plan")
