"""Claim: on two workers, one of which is held back to a third of its processor time, the plan from measurements serves
more tokens per second than the even split, and about what was predicted.

    python -m bench.bench_planner [--rounds 3] [--tokens 48] [--model FOLDER]

Random Llama of half a billion parameters, bfloat16, 16 sequences at once. Each worker has a processor core of its own,
so that they do not disturb each other; the second one is stopped for 40 of every 60 ms (`bench.brake`). Even and
measured take turns, each round with fresh workers; the result is the median round. The even plan's prediction comes
from the measured start's probes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


@contextmanager
def held_back(process: int) -> Iterator[None]:
    command = [sys.executable, "-m", "bench.brake", str(process), str(RUN_MS), str(STOP_MS)]
    brake = subprocess.Popen(command)
    try:
        yield
    finally:
        brake.terminate()
        brake.wait()


def pin(process: int, core: int) -> None:
    """All threads of a process; those that it starts later inherit it."""
    for task in Path(f"/proc/{process}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


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


async def serve(model: Path, layout: Layout, tokens: int) -> tuple[float, LayoutChoice]:
    async with cluster(model, 2, KV_TOKENS, layout) as deployment:
        processes = [child.process.pid for child in deployment.children]
        cores = sorted(os.sched_getaffinity(0))
        for process, core in zip(processes, cores, strict=False):
            pin(process, core)
        with held_back(processes[1]):
            await deployment.start_controller(await deployment.prepare())
            assert deployment.controller is not None
            choice = deployment.controller.choice
            assert choice is not None
            await tokens_per_second(deployment, 8)  # warms up
            return await tokens_per_second(deployment, tokens), choice


async def measure(model: Path, rounds: int, tokens: int) -> dict[str, object]:
    served: dict[Layout, list[float]] = {Layout.EVEN: [], Layout.MEASURED: []}
    predicted: dict[Layout, list[float]] = {Layout.EVEN: [], Layout.MEASURED: []}
    plans: dict[Layout, list[str]] = {}
    for number in range(rounds):
        for layout, rates in served.items():
            rate, choice = await serve(model, layout, tokens)
            rates.append(round(rate, 2))
            plans[layout] = [f"{stage.worker} {stage.layers.slice_id}" for stage in choice.plan.stages]
            if choice.profiles:
                for kind, plan in ((Layout.EVEN, choice.even), (Layout.MEASURED, choice.plan)):
                    expected = predict(choice.model, choice.profiles, plan, SEQUENCES // 2)
                    predicted[kind].append(round(expected.tokens_per_second, 2))
            print(f"round {number + 1} {layout}: {rate:.1f} tokens/s on {', '.join(plans[layout])}", flush=True)
    return {
        "sequences": SEQUENCES,
        "slowed_worker": {"name": "worker-2", "runs_ms": RUN_MS, "stands_still_ms": STOP_MS},
        "plans": {str(layout): plan for layout, plan in plans.items()},
        "tokens_per_second": {str(layout): statistics.median(rates) for layout, rates in served.items()},
        "predicted_tokens_per_second": {str(layout): statistics.median(rates) for layout, rates in predicted.items()},
        "measured_against_even": round(
            statistics.median(
                ours / even for ours, even in zip(served[Layout.MEASURED], served[Layout.EVEN], strict=True)
            ),
            3,
        ),
        "rounds": {str(layout): rates for layout, rates in served.items()},
        "predicted_rounds": {str(layout): rates for layout, rates in predicted.items()},
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
