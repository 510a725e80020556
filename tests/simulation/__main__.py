"""Many runs of a large cluster: `python -m tests.simulation --seeds 20 --sessions 10000 --workers 50`.

Prints one line for each seed, and for one that broke a promise how to have the same run again.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time

from tests.simulation.run import Outcome, Run, percentile, simulate

CHAIN_SHARE = 0.8
"""Of the workers; the others stand by."""


def main() -> int:
    options = parse(sys.argv[1:])
    failed = 0
    for seed in range(options.seed, options.seed + options.seeds):
        stages = options.stages or max(1, int(options.workers * CHAIN_SHARE))
        run = Run(seed, options.sessions, options.workers, stages, options.sequences, options.every)
        begin = time.perf_counter()
        outcome = simulate(run)
        print(describe(outcome, time.perf_counter() - begin), flush=True)
        if outcome.violations:
            failed += 1
            print(*outcome.violations, replay(run), sep="\n", flush=True)
    return 1 if failed else 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=50)
    parser.add_argument("--stages", type=int, default=0, help="in the chain; 0: four fifths of the workers")
    parser.add_argument("--sequences", type=int, default=256, help="that may run at once")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two faults, on average")
    parser.add_argument("--log", action="store_true", help="the log, in virtual time")
    options = parser.parse_args(arguments)
    if options.log:
        show_log()
    else:
        logging.disable()
    return options


def show_log() -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Virtual())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class _Virtual(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"{time.monotonic():10.3f} {record.name.rpartition('.')[2]}: {record.getMessage()}"


def describe(outcome: Outcome, seconds: float) -> str:
    run, requests = outcome.run, outcome.ends.total()
    ends = ", ".join(f"{count} {end}" for end, count in outcome.ends.most_common())
    faults = ", ".join(f"{count} {kind}" for kind, count in outcome.faults.most_common())
    return (
        f"seed {run.seed}: {'BROKEN' if outcome.violations else 'kept'}, {outcome.digest}\n"
        f"  {run.sessions} sessions, {requests} requests ({ends}), {outcome.tokens} tokens"
        f" in {outcome.seconds:.0f} s of the cluster, {seconds:.0f} s of ours ({run.sessions / seconds:.0f} sessions/s)\n"
        f"  {outcome.faults.total()} faults ({faults}), {outcome.repairs} routes, {outcome.refusals} orders refused\n"
        f"  first token after {percentile(outcome.first_token, 50):.2f} s (p50), {percentile(outcome.first_token, 99):.2f} s"
        f" (p99); {len(outcome.silences)} silences over 1 s, the longest {outcome.longest_silence:.1f} s"
    )


def replay(run: Run) -> str:
    options = f"--sessions {run.sessions} --workers {run.workers} --stages {run.stages}"
    options += f" --sequences {run.sequences} --every {run.every}"
    return f"  again: python -m tests.simulation --seed {run.seed} {options} --log"


if __name__ == "__main__":
    sys.exit(main())
