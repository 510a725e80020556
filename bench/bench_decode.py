"""Claims: one sequence over two secured workers decodes at 0.85x or more of the same stage code in one process, and at
1.5x or more of transformers' generate(); a worker's resident memory is its slice, its KV pool and at most 150 MB beyond
the process after its imports.

    python -m bench.bench_decode [--rounds 7] [--tokens 32] [--workers 2] [--model FOLDER]

Random Llama of half a billion parameters, bfloat16, greedy, 128 tokens of prompt. All contenders stay loaded, each in
its own processes with the same OpenMP setting, and take turns; a round's figure is the median step, the result the
median round.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.cluster import cluster, step_times
from bench.machine import describe_machine, write_result
from bench.models import half_billion
from mohawk.cli.children import environment

PROMPT_TOKENS = 128
KV_TOKENS = 1024


class Contender:
    """A `bench.contender` process."""

    def __init__(self, kind: str, model: Path, tokens: int) -> None:
        arguments = [sys.executable, "-m", "bench.contender", kind, str(model), str(PROMPT_TOKENS), str(tokens)]
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(Path(tempfile.gettempdir())),
            text=True,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def run(self) -> list[float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        times: list[float] = json.loads(self._process.stdout.readline())
        return times

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


async def measure(model: Path, workers: int, rounds: int, tokens: int) -> dict[str, object]:
    prompt = tuple(range(5, 5 + PROMPT_TOKENS))
    async with cluster(model, workers, KV_TOKENS) as deployment:
        baseline = [child_resident(child.process.pid) for child in deployment.children]
        authority = await deployment.prepare()
        await deployment.start_controller(authority)
        contenders = {kind: await asyncio.to_thread(Contender, kind, model, tokens) for kind in ("stage", "generate")}
        try:
            steps: dict[str, list[float]] = {"mohawk": [], "stage": [], "generate": []}
            for _ in range(rounds + 1):
                steps["mohawk"].append(statistics.median(await step_times(deployment, prompt, tokens)))
                for kind, contender in contenders.items():
                    steps[kind].append(statistics.median(await asyncio.to_thread(contender.run)))
        finally:
            for contender in contenders.values():
                contender.stop()
        memory = [
            child_resident(child.process.pid) - before - member.ready.weight_bytes - member.ready.kv_bytes
            for child, before, member in zip(
                deployment.children, baseline, deployment.controller.cluster.members, strict=True
            )
        ]
    figures = {kind: 1 / statistics.median(values[1:]) for kind, values in steps.items()}  # the first round warms up
    return {
        "workers": workers,
        "tokens_per_second": {kind: round(value, 2) for kind, value in figures.items()},
        "ratio_to_one_process": median_ratio(steps["stage"], steps["mohawk"]),
        "ratio_to_generate": median_ratio(steps["generate"], steps["mohawk"]),
        "rounds": {kind: [round(1 / value, 2) for value in values[1:]] for kind, values in steps.items()},
        "worker_memory_beyond_slice_and_kv_megabytes": [round(extra / 1e6, 1) for extra in memory],
    }


def median_ratio(peer: list[float], ours: list[float]) -> float:
    """The median over rounds of their ratio: what loads the machine for a while loads both sides of a round."""
    return round(statistics.median(theirs / mine for theirs, mine in zip(peer[1:], ours[1:], strict=True)), 3)


def child_resident(process: int) -> int:
    """Resident bytes of a process."""
    pages = int(Path(f"/proc/{process}/statm").read_text("ascii").split()[1])
    return pages * 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--model", type=Path)
    arguments = parser.parse_args()
    model = arguments.model or half_billion()
    result = asyncio.run(measure(model, arguments.workers, arguments.rounds, arguments.tokens))
    write_result("decode", describe_machine() | result)


if __name__ == "__main__":
    main()
