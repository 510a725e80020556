"""Where a step's time goes: controller, links, compute of each stage, sampling.

    python -m bench.step_profile [--sessions 1 16] [--tokens 64] [--rounds 3] [--patience 0]

The deployment of `mohawk up`, its controller in this process and its workers as `bench.timed_worker`, asked over HTTP
by `bench.load`. Figures are milliseconds, over steps that decode one token of each session: the median, and the fastest
tenth, which is nearer to the truth on a machine that others load. Not a claim: it says what to work on.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence

from bench.answers import quantile, run_job, session
from bench.cluster import cluster
from bench.machine import Meter, describe_machine, wait_for_quiet, write_result
from bench.models import half_billion
from bench.step_clock import StepClock, read_steps
from bench.timed_worker import FILE
from mohawk.cli import children
from mohawk.cli.deployment import Deployment
from mohawk.controller.cluster import Cluster
from mohawk.controller.pipeline import Pipeline
from mohawk.generation.batcher import Batcher

PROMPT_TOKENS = 32
KV_TOKENS = 24576
Step = dict[str, float]


class Controller:
    """Notes of the controller's half, and how many rows each step had."""

    def __init__(self) -> None:
        self.clock = StepClock()
        self.decoding: dict[int, int] = {}
        """Step -> sessions, for steps in which every session decodes."""
        clock, schedule = self.clock, Batcher.schedule

        def noted(batcher: Batcher) -> object:
            begun = time.monotonic()
            order = schedule(batcher)
            if order is not None:
                clock.note("turn", order.number, begun)
                clock.note("scheduled", order.number)
                if order.segments and all(segment.count == 1 for segment in order.segments):
                    self.decoding[order.number] = len(order.segments)
            return order

        Batcher.schedule = noted  # type: ignore[method-assign,assignment]
        clock.around(Cluster, "send", ("sending", "sent"), lambda _cluster, step: step.number)
        clock.before(Pipeline, "on_result", "result", lambda _pipeline, _worker, result: result.number)
        clock.around(Batcher, "postprocess", ("landing", "landed"), lambda _batcher, order, _tokens: order.number)


def pieces(controller: Step, stages: list[Step], following: Step) -> Iterator[tuple[str, float]]:
    """One step, from its schedule to the next one's, in the order in which things happen."""
    yield "controller: schedule", controller["scheduled"] - controller["turn"]
    yield "controller: seal and send", controller["sent"] - controller["scheduled"]
    left = controller["sent"]
    for number, stage in enumerate(stages, 1):
        yield f"link to stage {number}", stage["received"] - left
        yield f"stage {number}: waiting for its compute thread", stage["begun"] - stage["received"]
        sampling = stage["sampled"] - stage["sampling"] if "sampled" in stage else 0.0
        yield f"stage {number}: compute", stage["computed"] - stage["begun"] - sampling
        if sampling:
            yield f"stage {number}: sampling", sampling
        yield f"stage {number}: back in its loop", stage["handing"] - stage["computed"]
        yield f"stage {number}: handing on", stage["handed"] - stage["handing"]
        left = stage["handed"]
    yield "link back", controller["result"] - left
    yield "controller: result to its loop", controller["landing"] - controller["result"]
    yield "controller: postprocess and text", following["turn"] - controller["landing"]


def describe(
    controller: Controller, stages: list[dict[int, Step]], sessions: int, spans: Sequence[range]
) -> dict[str, dict[str, float]]:
    steps = controller.clock.steps()
    found: dict[str, list[float]] = {}
    for number in itertools.chain(*spans):
        if controller.decoding.get(number) != sessions or number + 1 not in controller.decoding:
            continue
        for name, seconds in pieces(steps[number], [stage[number] for stage in stages], steps[number + 1]):
            found.setdefault(name, []).append(seconds)
    found = {"whole step": [sum(values) for values in zip(*found.values(), strict=True)], **found}
    return {
        name: {
            "median": round(statistics.median(values) * 1000, 3),
            "fastest_tenth": round(quantile(values, 0.1) * 1000, 3),
        }
        for name, values in found.items()
    }


async def measure(arguments: argparse.Namespace) -> dict[str, object]:
    children.interpreter = lambda: (sys.executable, "-m", "bench.timed_worker")  # type: ignore[assignment,return-value]
    controller, chance = Controller(), random.Random(0)
    spans: dict[int, list[range]] = {}
    costs: dict[int, list[dict[str, float]]] = {}
    async with cluster(half_billion(), 2, KV_TOKENS) as deployment:
        authority = await deployment.prepare()
        await deployment.start_controller(authority)
        await deployment.start_api(authority)
        folders = [deployment.places.worker(child.name) / "tmp" for child in deployment.children]
        for _, sessions in itertools.product(range(arguments.rounds), arguments.sessions):
            before = controller.clock.latest
            asked = [session(1, PROMPT_TOKENS, arguments.tokens, chance) for _ in range(sessions)]
            costs.setdefault(sessions, []).append(await ask(deployment, asked, arguments.patience))
            spans.setdefault(sessions, []).append(range(before + 1, controller.clock.latest + 1))
        await deployment.stop()
        deployment.children = []
        stages = [read_steps(folder / FILE) for folder in folders]
    return {
        str(sessions): {
            "milliseconds": describe(controller, stages, sessions, spans[sessions]),
            "processor_milliseconds_per_token": middle(costs[sessions]),
        }
        for sessions in arguments.sessions
    }


async def ask(deployment: Deployment, asked: list[dict[str, object]], patience: float) -> dict[str, float]:
    """Processor milliseconds per token, by process."""
    assert deployment.api is not None
    address: dict[str, object] = {
        "host": "localhost",
        "port": deployment.api.port,
        "roots": str(deployment.places.api_root),
    }
    assert deployment.controller is not None
    address |= {"model": deployment.controller.engine.model_id, "key": deployment.places.api_key.read_text("ascii")}
    await asyncio.to_thread(wait_for_quiet, patience)
    processes = {"controller": os.getpid()} | {child.name: child.process.pid for child in deployment.children}
    meter = Meter(processes.values())
    outcome = await asyncio.to_thread(run_job, address, asked)
    used = {name: meter.used(process) / outcome.tokens * 1000 for name, process in processes.items()}
    return used | {
        "others": meter.others(outcome.processor_seconds),
        "tokens_per_second": outcome.tokens / outcome.seconds,
    }


def middle(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(statistics.median(one[key] for one in rounds if key in one), 3) for key in rounds[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--patience", type=float, default=0.0)
    arguments = parser.parse_args()
    write_result("step_profile", describe_machine() | {"by_sessions": asyncio.run(measure(arguments))})


if __name__ == "__main__":
    main()
