"""One run: a seed, a cluster, its clients and its faults; what came of it, and what should not have."""

from __future__ import annotations

import asyncio
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from statistics import quantiles
from typing import Any

from mohawk.generation.pace import FIRST_PATIENCE_SECONDS
from mohawk.generation.waiting import GENERATED_WEIGHT
from mohawk.planning.breaker import LONGEST_PAUSE
from tests.simulation import clock
from tests.simulation.clients import Clients, Crowd
from tests.simulation.cluster import Shape, SimulatedController, simulated
from tests.simulation.faults import Blow, Misfortune, allowance
from tests.simulation.history import History

CALM_SECONDS = 1.0
"""Silence that needs no explanation: long prompts, a crowd of newcomers."""
LONGEST_SILENCE = 300.0
"""Then a run is given up."""
LONGEST_REPAIR = 2 * int(LONGEST_PAUSE)
"""Seconds, once nothing fails any more; a worker that failed often is left alone for long."""
QUIET_SECONDS = FIRST_PATIENCE_SECONDS + 10.0
"""Then whatever was closed is given back, though the step that said so be lost."""


@dataclass(frozen=True, slots=True)
class Run:
    """What is needed to have the same run again. `every`: seconds between faults, on average; `blows`: these and no
    others.
    """

    seed: int
    sessions: int = 600
    workers: int = 10
    stages: int = 6
    sequences: int = 48
    every: float = 4.0
    blows: tuple[Blow, ...] = ()

    def shape(self) -> Shape:
        """Few or many steps under way; pools in which everybody fits, and pools that make them take turns."""
        random = Random(f"shape/{self.seed}")
        depth, tokens_each = random.choice((1, 2, 4, 8, 16)), random.choice((64, 128, 320))
        return Shape(self.workers, self.stages, self.sequences, tokens_each * self.sequences, depth=depth)

    def at_once(self, shape: Shape) -> int:
        """From half of what can run at once to more than may wait."""
        return int(shape.sequences * Random(f"crowd/{self.seed}").choice((0.5, 1.0, 1.5, 3.0, 6.0)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """`violations`: empty when every promise was kept. Seconds are virtual."""

    run: Run
    seconds: float
    tokens: int
    ends: Counter[str]
    faults: Counter[str]
    repairs: int
    refusals: int
    """Orders that stages refused: after a step was lost, those that build on it."""
    first_token: list[float]
    silences: list[float]
    digest: str
    violations: list[str]

    @property
    def longest_silence(self) -> float:
        return max(self.silences, default=0.0)


def simulate(run: Run) -> Outcome:
    return clock.run(_simulate(run))


async def _simulate(run: Run) -> Outcome:
    trouble: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: trouble.append(_tell(context)))
    shape = run.shape()
    controller, history = SimulatedController(shape), History()
    misfortune = Misfortune(controller, run.seed)
    with simulated(controller.network):
        await controller.start()
        blows = misfortune.strike(run.blows) if run.blows else misfortune.strike_now_and_then(run.every)
        striking = asyncio.create_task(blows)
        clients = Clients(controller.engine, history, Crowd(run.sessions, run.at_once(shape)), run.seed)
        try:
            await _until_silence(clients.run(), history)
        except TimeoutError:
            trouble.append(f"nothing was heard for {LONGEST_SILENCE:.0f} s, and {history.open} requests wait")
        finally:
            striking.cancel()
        ended = asyncio.get_running_loop().time()
        misfortune.relent()
        await _until_whole(controller)
        trouble += _check_quiescence(controller)
        await controller.stop()
    trouble += history.violations
    if controller.refusals and not misfortune.faults:
        trouble.append(f"account and pools disagree: {controller.refusals[0]}")
    trouble += history.check_fairness(_fair_bound(shape))
    trouble += _check_silences(history, misfortune)
    return Outcome(
        run,
        ended,
        sum(len(answer.arrivals) for answer in history.answers),
        history.ends(),
        Counter(str(fault.kind) for fault in misfortune.faults),
        controller.cluster.epoch - 1,
        len(controller.refusals),
        [answer.arrivals[0] - answer.asked for answer in history.answers if answer.arrivals],
        [end - begin for begin, end in history.silences],
        history.digest(),
        trouble,
    )


async def _until_silence(work: object, history: History) -> None:
    """Raises TimeoutError when nothing happens any more."""
    task = asyncio.ensure_future(work)  # type: ignore[arg-type]
    while not task.done():
        await asyncio.wait([task], timeout=LONGEST_SILENCE / 10)
        if history.silent_for() > LONGEST_SILENCE and not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise TimeoutError
    task.result()


async def _until_whole(controller: SimulatedController) -> None:
    """Or until it should have been."""
    for _ in range(LONGEST_REPAIR):
        if controller.is_whole:
            break
        await asyncio.sleep(1.0)
    await asyncio.sleep(QUIET_SECONDS)


def _check_quiescence(controller: SimulatedController) -> Iterator[str]:
    """Nobody asks for anything: what the stages hold is what the account says is kept."""
    batcher = controller.batcher
    if batcher.running or batcher.waiting or batcher.in_flight:
        yield f"at rest {batcher.running} run, {batcher.waiting} wait and {batcher.in_flight} steps are under way"
    if batcher.kv_tokens_used:
        yield f"at rest {batcher.kv_tokens_used} tokens of KV are in use"
    for worker in controller.chain:
        stage = worker.station.stage
        if stage is None or stage.used != batcher.kv_tokens_retained:
            yield f"at rest {worker.name} holds {stage and stage.used}, the account {batcher.kv_tokens_retained} tokens"


def _check_silences(history: History, misfortune: Misfortune) -> Iterator[str]:
    for begin, end in history.silences:
        allowed = CALM_SECONDS + allowance(misfortune.faults, begin, end)
        if end - begin > allowed:
            yield f"nobody heard anything from {begin:.1f} s to {end:.1f} s; the faults explain {allowed:.1f} s"


def _fair_bound(shape: Shape) -> float:
    """As in the bound of Sheng et al.: twice what all that fits into the pools can weigh."""
    return 2.0 * GENERATED_WEIGHT * shape.kv_tokens


def percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100)[percent - 1] if len(values) > 1 else 0.0


def _tell(context: dict[str, Any]) -> str:
    """What nobody caught."""
    error = context.get("exception")
    return "".join([context["message"], "\n", *(traceback.format_exception(error) if error else ())])
