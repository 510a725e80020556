"""Claim: on two workers, one of which is held back to a third of its processor time, the plan from measurements serves
more tokens per second than the even split, and about what was predicted.

    python -m bench.bench_planner [--rounds 3] [--tokens 48] [--model FOLDER]

Random Llama of half a billion parameters, bfloat16, 16 sequences at once, one compute thread per worker. The second
worker is stopped for 40 of every 60 ms (`bench.brake`). Even and measured take turns, each round with fresh workers,
once with one step under way (all 16 sequences in it) and once with two (8 in each); the result is the median round. The
even plan's prediction comes from the same probes as the measured one's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from bench.cluster import cluster
from bench.machine import describe_machine, write_result
from bench.models import half_billion
from mohawk.cli.deployment import Deployment
from mohawk.controller.layout import Layout, LayoutChoice
from mohawk.generation.session import GenerationRequest
from mohawk.nouns.model import SamplingParameters
from mohawk.planning.measured import predict

SEQUENCES = 16
PROMPT_TOKENS = 16
KV_TOKENS = 4096
RUN_MS, STOP_MS = 20, 40
DEPTHS = (1, 2)


@contextmanager
def held_back(process: int) -> Iterator[None]:
    command = [sys.executable, "-m", "bench.brake", str(process), str(RUN_MS), str(STOP_MS)]
    brake = subprocess.Popen(command)
    try:
        yield
    finally:
        brake.terminate()
        brake.wait()


def let_run_on(process: int, cores: set[int]) -> None:
    """All threads that it has."""
    for task in Path(f"/proc/{process}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


@asynccontextmanager
async def two_workers(model: Path, layout: Layout) -> AsyncIterator[Deployment]:
    """With one thread each, which is what a worker takes that sees one core when it starts; they run on any."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        async with cluster(model, 2, KV_TOKENS, layout) as deployment:
            for process in (os.getpid(), *(child.process.pid for child in deployment.children)):
                let_run_on(process, cores)
            yield deployment
    finally:
        os.sched_setaffinity(0, cores)


async def tokens_per_second(deployment: Deployment, tokens: int) -> float:
    """While all sequences decode: from the last one's first token to the first one's last."""
    assert deployment.controller is not None
    engine = deployment.controller.engine

    async def one(number: int) -> list[float]:
        prompt = tuple(5 + (number * 31 + place) % 1000 for place in range(PROMPT_TOKENS))
        request = GenerationRequest(prompt, tokens, SamplingParameters(temperature=0.0))
        return [time.perf_counter() async for delta in engine.generate(request) if delta.token is not None]

    times = await asyncio.gather(*(one(number) for number in range(SEQUENCES)))
    begin, end = max(series[0] for series in times), min(series[-1] for series in times)
    return sum(begin < at <= end for series in times for at in series) / (end - begin)


async def serve(model: Path, layout: Layout, tokens: int) -> tuple[dict[int, float], LayoutChoice]:
    """Tokens per second by steps under way."""
    async with two_workers(model, layout) as deployment:
        with held_back(deployment.children[1].process.pid):
            await deployment.start_controller(await deployment.prepare())
            assert deployment.controller is not None
            choice = deployment.controller.choice
            assert choice is not None
            await tokens_per_second(deployment, 8)  # warms up
            rates = {}
            for depth in DEPTHS:
                deployment.controller.engine._batcher.depth = depth
                rates[depth] = round(await tokens_per_second(deployment, tokens), 2)
            return rates, choice


def expect(choice: LayoutChoice) -> dict[str, dict[int, float]]:
    """The predictions for both plans, by steps under way."""
    expected = {}
    for name, plan in (("even", choice.even), ("measured", choice.plan)):
        alone, busy = (predict(choice.model, choice.profiles, plan, SEQUENCES // depth) for depth in DEPTHS)
        expected[name] = {1: round(alone.tokens_per_second_alone, 2), 2: round(busy.tokens_per_second, 2)}
    return expected


async def measure(model: Path, rounds: int, tokens: int) -> dict[str, object]:
    entries: list[dict[str, object]] = []
    for number in range(rounds):
        for layout in (Layout.EVEN, Layout.MEASURED):
            rates, choice = await serve(model, layout, tokens)
            plan = [f"{stage.worker} {stage.layers.slice_id}" for stage in choice.plan.stages]
            entry: dict[str, object] = {"round": number + 1, "layout": str(layout), "plan": plan, "served": rates}
            entry |= {"predicted": expect(choice), "load": round(os.getloadavg()[0], 1)} if choice.profiles else {}
            entries.append(entry)
            print(json.dumps(entry), flush=True)
    return {
        "sequences": SEQUENCES,
        "slowed_worker": {"name": "worker-2", "runs_ms": RUN_MS, "stands_still_ms": STOP_MS},
        "by_steps_under_way": {depth: _sum_up(entries, depth) for depth in DEPTHS},
        "rounds": entries,
    }


def _sum_up(entries: list[dict[str, Any]], depth: int) -> dict[str, float]:
    """Medians over the rounds; the ratio is the median of each round's."""
    served = {
        layout: [entry["served"][depth] for entry in entries if entry["layout"] == layout]
        for layout in ("even", "measured")
    }
    predicted = [entry["predicted"] for entry in entries if "predicted" in entry]
    pairs = zip(served["measured"], served["even"], strict=True)
    return {
        "even_tokens_per_second": statistics.median(served["even"]),
        "measured_tokens_per_second": statistics.median(served["measured"]),
        "ratio": round(statistics.median(ours / even for ours, even in pairs), 3),
        "predicted_even_tokens_per_second": statistics.median(one["even"][depth] for one in predicted),
        "predicted_measured_tokens_per_second": statistics.median(one["measured"][depth] for one in predicted),
        "predicted_ratio": round(
            statistics.median(one["measured"][depth] / one["even"][depth] for one in predicted), 3
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--model", type=Path)
    arguments = parser.parse_args()
    model = arguments.model or half_billion()
    load = os.getloadavg()[0]
    result = asyncio.run(measure(model, arguments.rounds, arguments.tokens))
    write_result("planner", describe_machine() | {"load_before": round(load, 1)} | result)


if __name__ == "__main__":
    main()
