"""Claims: a ticket costs at most 30 us per stage and step, sealing it at the controller and opening it at the stage
together; one sequence over two secured workers decodes at 0.98x or more of what it does with parts that nobody seals.

    python -m bench.bench_tickets [--rounds 15] [--tokens 64] [--workers 2] [--model FOLDER]

Cost: `seal` is from the part to the ticket, `open` from the ticket to the part's bytes, for a step of 1 and of 16
sequences; `ticket` is both. Encoding the part is in `seal`, and shown alone too, because it is needed without tickets
as well: `added` is what tickets add. `decode`, which follows at the stage, is no part of either.

Decode: the demo model by default, the smallest that ships, because the smaller the model, the larger a ticket's share
of a step. One cluster serves both: every other step is sealed, so that what disturbs the machine disturbs both alike. A
round's figure is the median step of each kind in one answer, the result the median over rounds of their ratio. That
workers take both kinds is the bench's doing, in its own processes (`bench.either_worker`): the product has no such
switch.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from bench.cluster import cluster, step_times
from bench.machine import describe_machine, write_result
from mohawk.cli import children
from mohawk.contract.codec import decode_part, encode_part
from mohawk.contract.steps import StagePart
from mohawk.controller.service import Controller
from mohawk.controller.tickets import TicketWriter
from mohawk.nouns.segment import Segment
from tests.support.tickets import make_ends, make_route

LIMIT_MICROSECONDS = 30.0
LIMIT_RATIO = 0.98
WIDTH = 1024
CALLS = 400
PROMPT_TOKENS = 32
KV_TOKENS = 2048


def time_calls(work: Callable[[], object]) -> float:
    """Microseconds of one call, over a batch."""
    begin = time.perf_counter()
    for _ in range(CALLS):
        work()
    return (time.perf_counter() - begin) / CALLS * 1e6


def measure_cost(sequences: int, rounds: int) -> dict[str, float]:
    """Median microseconds over rounds; all candidates take turns in each."""
    part = StagePart(tuple(Segment(number, 100, 1, True) for number in range(1, sequences + 1)), number=7)
    route, ends = make_route(stage=1), make_ends()
    writer, reader = ends.writer(route, WIDTH), ends.reader(route)
    encoded, tensor, length = encode_part(part), (sequences, WIDTH, 1), sequences * WIDTH * 4
    tickets: deque[bytes] = deque()
    candidates: dict[str, Callable[[], object]] = {
        "encode": lambda: encode_part(part),
        "seal": lambda: tickets.append(writer.seal(part)),
        "open": lambda: reader.open(tickets.popleft(), tensor, length),
        "decode": lambda: decode_part(encoded),
    }
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, work in candidates.items():
            times[name].append(time_calls(work))
    found = {name: statistics.median(values) for name, values in times.items()}
    found |= {"ticket": found["seal"] + found["open"], "added": found["seal"] - found["encode"] + found["open"]}
    return {name: round(value, 2) for name, value in found.items()}


class EverySecond:
    """In place of a `TicketWriter`: seals every second step that computes. `modes`: which of them it sealed."""

    def __init__(self, writer: TicketWriter) -> None:
        self._writer = writer
        self.modes: list[bool] = []

    def seal(self, part: StagePart) -> bytes:
        if part.segments:
            self.modes.append(not (self.modes and self.modes[-1]))
        return self._writer.seal(part) if self.modes[-1:] == [True] else encode_part(part)


def alternate(controller: Controller) -> EverySecond:
    """Let the controller seal every second step from now on; one of its writers, to ask which."""
    writers = tuple(EverySecond(writer) for writer in controller.cluster.tickets)
    controller.pipeline.rekey(controller.cluster.epoch, writers, controller.cluster.members[-1].name)  # type: ignore[arg-type]
    return writers[-1]


async def measure_decode(model: Path | None, workers: int, rounds: int, tokens: int) -> dict[str, object]:
    children.interpreter = lambda: (sys.executable, "-P", str(Path(__file__).with_name("either_worker.py")))  # type: ignore[assignment]
    prompt = tuple(range(5, 5 + PROMPT_TOKENS))
    steps: dict[bool, list[float]] = {True: [], False: []}
    async with cluster(model, workers, KV_TOKENS) as deployment:
        await deployment.start_controller(await deployment.prepare())
        assert deployment.controller is not None
        writer = alternate(deployment.controller)
        for _ in range(rounds + 1):
            del writer.modes[:-1]  # the last one says which kind comes next
            times = await step_times(deployment, prompt, tokens)
            modes = writer.modes[-len(times) :]  # one step a token, the prompt's own before them
            for sealed, values in steps.items():
                values.append(statistics.median(t for t, mode in zip(times, modes, strict=True) if mode is sealed))
    ratios = [without / sealed for without, sealed in zip(steps[False][1:], steps[True][1:], strict=True)]
    return {
        "model": model.name if model else "the demo model",
        "workers": workers,
        "step_milliseconds": {
            name: round(statistics.median(steps[sealed][1:]) * 1000, 3)
            for name, sealed in (("with", True), ("without", False))
        },
        "ratio": round(statistics.median(ratios), 4),  # tokens/s with tickets over tokens/s without
        "limit": LIMIT_RATIO,
        "rounds": [round(ratio, 3) for ratio in ratios],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--model", type=Path)
    arguments = parser.parse_args()
    cost = {f"sequences_{count}": measure_cost(count, 3 * arguments.rounds) for count in (1, 16)}
    decode = asyncio.run(measure_decode(arguments.model, arguments.workers, arguments.rounds, arguments.tokens))
    microseconds = cost | {"limit": LIMIT_MICROSECONDS}
    machine = describe_machine() | {"load_average": round(os.getloadavg()[0], 2)}
    write_result("tickets", machine | {"microseconds": microseconds, "decode": decode})


if __name__ == "__main__":
    main()
