"""Plans from measurements: the best one, what it is worth beside another, and what a plan lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mohawk.errors import UsageError
from mohawk.nouns.plan import Plan
from mohawk.planning.cost import CostModel, StageCost, WorkerProfile
from mohawk.planning.programme import Programme, find_slices

WORTH_IT = 1.15
"""A plan that is not so many times faster than the even one is not measurably faster: probes of equal workers on a
shared machine differ by as much.
"""


@dataclass(frozen=True, slots=True)
class Prediction:
    """A plan at some number of rows in each step: what each stage costs."""

    rows: int
    stages: tuple[StageCost, ...]

    @property
    def bottleneck(self) -> int:
        """Number of the slowest stage."""
        return max(range(len(self.stages)), key=lambda stage: self.stages[stage].busy)

    @property
    def tokens_per_second(self) -> float:
        """While every stage has a step of `rows` rows to compute."""
        return self.rows / max(self.stages[self.bottleneck].busy, 1e-9)

    @property
    def tokens_per_second_alone(self) -> float:
        """With one step under way at a time: every stage waits for the others."""
        return self.rows / max(self.latency, 1e-9)

    @property
    def latency(self) -> float:
        """Seconds from one token of a sequence to its next, with no other step in the way."""
        return sum(stage.latency for stage in self.stages)


def place_measured(model: CostModel, workers: Sequence[WorkerProfile]) -> Plan:
    """The plan with the least bottleneck; of those, the one whose tokens take the least time. Whoever would not help is
    left out. Raises UsageError when none is possible.
    """
    programme = Programme(model, workers)
    return programme.cheapest(
        programme.least_bottleneck(), lambda worker, begin, end: (model.cost(worker, begin, end).latency, 0.0)
    )


def predict(model: CostModel, workers: Sequence[WorkerProfile], plan: Plan, rows: int | None = None) -> Prediction:
    """`rows` None: the workload's. Raises UsageError: a plan of other slices, or of a worker that was not measured."""
    named = {worker.name: worker for worker in workers}
    costs = []
    for stage in plan.stages:
        if stage.worker not in named:
            raise UsageError(f"{stage.worker} was not measured", field="plan")
        begin, end = find_slices(model, stage.layers)
        costs.append(model.cost(named[stage.worker], begin, end, rows))
    return Prediction(rows or model.load.rows, tuple(costs))


def choose_plan(model: CostModel, workers: Sequence[WorkerProfile], even: Plan) -> Plan:
    """The even plan, unless the workers differ so much that another is measurably faster, or the even one is
    impossible. Raises UsageError when none is possible.
    """
    measured = place_measured(model, workers)
    if not is_possible(model, workers, even):
        return measured
    gain = predict(model, workers, measured).tokens_per_second / predict(model, workers, even).tokens_per_second
    return measured if gain >= WORTH_IT else even


def is_possible(model: CostModel, workers: Sequence[WorkerProfile], plan: Plan) -> bool:
    """Every stage fits its worker, which may have it. Raises UsageError: a plan of other slices."""
    named = {worker.name: worker for worker in workers}
    return all(
        stage.worker in named and model.is_possible(named[stage.worker], *find_slices(model, stage.layers))
        for stage in plan.stages
    )


def check_memory(model: CostModel, memory: dict[str, int], plan: Plan) -> None:
    """Every worker has room for its stage: `memory` says for how many bytes. Raises UsageError that names the first one
    that has not, and what it lacks.
    """
    for stage in plan.stages:
        needed, there = model.memory(*find_slices(model, stage.layers)), memory[stage.worker]
        if needed > there:
            lacking = f"needs {_megabytes(needed)} for {stage.layers.slice_id} with its KV, and has {_megabytes(there)}"
            raise UsageError(
                f"{stage.worker} {lacking}: {_megabytes(needed - there)} are missing",
                hint="give it fewer layers or more memory, add a worker, or lower --kv-tokens",
                field="workers",
            )


def _megabytes(count: int) -> str:
    return f"{count / (1 << 20):.0f} MiB"
