"""Workers killed and frozen at seeded random moments of eight streams, run after run:
`python -m tests.e2e.many_faults --runs 100`.

In float32 every stream must have the tokens of an undisturbed run. In bfloat16 rows are not independent of their batch,
so only what no precision may break is held against it: no token lost, none repeated, no error, an answer of full length.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from tests.e2e.processes import Up, command_line, descendants, send
from tests.e2e.streams import Stream, Streams, build_endless, wait_for_spares

CONTEXT = 1024
TOKENS = 160
PROMPTS = [[5 + number, 6, 7, 8 + number] for number in range(8)]
SPARES = 2


@dataclass(frozen=True)
class Run:
    """What was done to whom, after how many tokens, and what the streams saw of it. `quiet`: the longest time without a
    token of any stream that began with the fault, in seconds.
    """

    seed: int
    wound: str
    stage: int
    moment: int
    quiet: float
    is_kept: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--json", type=Path, help="Write every run here.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mohawk-faults-") as folder:
        source = build_endless(Path(folder) / "endless", CONTEXT)
        up = Up(Path(folder) / "home", str(source), "--dtype", options.dtype, "--spares", str(SPARES))
        try:
            runs = repeat(up, options.runs, options.seed, is_exact=options.dtype == "float32")
        finally:
            up.kill()
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n")
    quiet = sorted(run.quiet for run in runs)
    kept = sum(run.is_kept for run in runs)
    print(f"{kept} of {len(runs)} kept the promise; quiet for {median(quiet):.2f} s (median), {quiet[-1]:.2f} s (most)")
    sys.exit(kept != len(runs))


def repeat(up: Up, count: int, seed: int, *, is_exact: bool) -> list[Run]:
    wait_for_spares(up, SPARES)
    expected = [stream.tokens for stream in Streams(up, PROMPTS, TOKENS).finish()]
    runs = []
    for number in range(seed, seed + count):
        runs.append(wound_once(up, number, expected, is_exact=is_exact))
        print(runs[-1], flush=True)
        wait_for_spares(up, SPARES)
    return runs


def wound_once(up: Up, seed: int, expected: list[list[int]], *, is_exact: bool) -> Run:
    """One fault under eight streams. A frozen worker goes on when they have ended."""
    chance = random.Random(seed)
    wound = chance.choice([signal.SIGKILL, signal.SIGSTOP])
    stage, moment = chance.randrange(2), chance.randrange(1, TOKENS - 40)
    name = up.status()["workers"][stage]["name"]
    victim = next(pid for pid in descendants(up.pid) if f"/{name}/".encode() in command_line(pid))
    running = Streams(up, PROMPTS, TOKENS)
    try:
        running.wait_for(moment)
        begin = time.monotonic()
        os.kill(victim, wound)
        streams = running.finish()
    finally:
        send(victim, signal.SIGCONT)
    return Run(
        seed, wound.name, stage, moment, round(quiet_since(begin, streams), 3), is_kept(streams, expected, is_exact)
    )


def quiet_since(begin: float, streams: list[Stream]) -> float:
    times = [begin, *sorted(moment for stream in streams for moment in stream.times if moment > begin)]
    return max((after - before for before, after in itertools.pairwise(times)), default=0.0)


def is_kept(streams: list[Stream], expected: list[list[int]], is_exact: bool) -> bool:
    if any(stream.error is not None or len(stream.tokens) != TOKENS for stream in streams):
        return False
    return not is_exact or [stream.tokens for stream in streams] == expected


if __name__ == "__main__":
    main()
