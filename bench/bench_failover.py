"""Claim: a stage that is lost is noticed within 1 s, and its streams go on within 2 s plus what computing their tokens
again takes.

    python -m bench.bench_failover [--rounds 3] [--tokens 160] [--after 6] [--small]

Random Llama of half a billion parameters, bfloat16, two workers and one spare; 8 streams. The second stage is lost by
SIGKILL, and in a server of its own by SIGSTOP (its connections stay open and nothing answers). Figures, in seconds from
the signal: `noticed`, until the controller's log says that the chain is broken; `taken_over`, until the log says who
takes over; `first_token`, until the first stream goes on, which is where the longest pause does that began before that
and ended after the signal; `all_streams`, until the last one does. `timeline`: tokens of all streams in each 50 ms,
from 3 s before the signal to 6 s after.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bench.answers import Answer, Outcome, run_job, session, timeline
from bench.machine import describe_machine, write_result
from bench.models import half_billion, small
from bench.servers import Capacity, Server, mohawk_server, wait_for_spares

STREAMS = 8
PROMPT_TOKENS = 32
LOST = "worker-2"
NOTICED, MOVED = "the chain is broken", "takes over"
LOOK_SECONDS = 0.002
BEFORE, AFTER, WIDTH = 3.0, 6.0, 0.05
FAULTS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


@dataclass(frozen=True, slots=True)
class Loss:
    """Points of the monotonic clock."""

    signalled: float
    noticed: float
    moved: float


def lose(server: Server, fault: signal.Signals, job: Future[Outcome]) -> Loss:
    """Raises RuntimeError when the log says nothing of it while the job runs."""
    size = server.log.stat().st_size
    signalled = time.monotonic()
    os.kill(server.processes[LOST], fault)
    times = [_await_words(server.log, size, words, job) for words in (NOTICED, MOVED)]
    return Loss(signalled, *times)


def _await_words(log: Path, offset: int, words: str, job: Future[Outcome]) -> float:
    while not job.done():
        with log.open("rb") as file:
            file.seek(offset)
            if words.encode("ascii") in file.read():
                return time.monotonic()
        time.sleep(LOOK_SECONDS)
    raise RuntimeError(f"the log never said {words!r}")


def measure(model: Path, fault: str, arguments: argparse.Namespace, seed: int) -> dict[str, object]:
    chance = random.Random(seed)
    with mohawk_server(model, Capacity(), spares=1) as server, ThreadPoolExecutor(1) as pool:
        warm = [session(1, PROMPT_TOKENS, 8, chance) for _ in range(STREAMS)]
        run_job(server.address, warm)
        wait_for_spares(server, 1)  # one that loads is no spare yet, and takes processors from those who answer
        asked = [session(1, PROMPT_TOKENS, arguments.tokens, chance) for _ in range(STREAMS)]
        job = pool.submit(run_job, server.address, asked)
        time.sleep(arguments.after)
        loss = lose(server, FAULTS[fault], job)
        outcome = job.result()
        if fault == "stop":
            os.kill(server.processes[LOST], signal.SIGKILL)  # or it would never end
    return describe(outcome, loss)


def describe(outcome: Outcome, loss: Loss) -> dict[str, object]:
    """Raises RuntimeError where not every stream was cut and went on."""
    signalled = loss.signalled - outcome.began
    if outcome.incomplete:
        raise RuntimeError(f"{[answer.error for answer in outcome.answers]}")
    firsts, lasts = zip(*((one.pieces[0], one.pieces[-1]) for one in outcome.answers), strict=True)
    if max(firsts) > signalled or min(lasts) < loss.moved - outcome.began:
        raise RuntimeError("not every stream was under way before and after: other --tokens, other --after")
    resumed = [go_on(one, signalled, loss.moved - outcome.began) for one in outcome.answers]
    return {
        "noticed": loss.noticed - loss.signalled,
        "taken_over": loss.moved - loss.signalled,
        "first_token": min(resumed) - signalled,
        "all_streams": max(resumed) - signalled,
        "incomplete": outcome.incomplete,
        "timeline": timeline(outcome.answers, signalled - BEFORE, signalled + AFTER, WIDTH),
    }


def go_on(answer: Answer, signalled: float, moved: float) -> float:
    """When the longest of its pauses ended in which the stage was lost or taken over: pieces that were on their way
    may still come between the two.
    """
    pauses = [
        (after - before, after) for before, after in pairwise(answer.pieces) if before < moved and after > signalled
    ]
    return max(pauses)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=160)
    parser.add_argument("--after", type=float, default=6.0)
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    model = small() if arguments.small else half_billion()
    rounds: dict[str, list[dict[str, object]]] = {fault: [] for fault in FAULTS}
    for number in range(1, arguments.rounds + 1):
        for fault, found in rounds.items():
            found.append(measure(model, fault, arguments, number))
            print(number, fault, {key: value for key, value in found[-1].items() if key != "timeline"}, flush=True)
    keys = ("noticed", "taken_over", "first_token", "all_streams")
    medians = {
        fault: {key: round(statistics.median(float(str(one[key])) for one in found), 3) for key in keys}
        for fault, found in rounds.items()
    }
    profile = {"streams": STREAMS, "span_before": BEFORE, "span_after": AFTER, "span_width": WIDTH}
    name = "failover_small" if arguments.small else "failover"
    write_result(name, describe_machine() | profile | medians | {"rounds": rounds})


if __name__ == "__main__":
    main()
