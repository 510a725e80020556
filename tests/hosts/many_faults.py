"""Workers killed, frozen and cut off at seeded random moments of eight streams, run after run, each worker on a host of
its own: `python -m tests.hosts.many_faults --runs 100`, as root.

No token may be lost, repeated or changed, and no stream may end with an error. In float32 every stream has the tokens
of an undisturbed run. In bfloat16 rows are not independent of their batch; there a token's logit, by the whole model
in float32, may lie below the best one at most TOLERANCE times as far as in an undisturbed run.

A cluster sees RUNS_OF_ONE faults, then comes a fresh one: a worker that fails again and again is left alone for minutes.
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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.e2e.streams import Stream, Streams, build_endless, wait_for_spares
from tests.hosts.network import missing
from tests.hosts.site import HostedCluster, hosted

CONTEXT = 1024
TOKENS = 160
PROMPTS = [[5 + number, 6, 7, 8 + number] for number in range(8)]
CHAIN, SPARES = ("a", "b"), ("c", "d")
WOUNDS = ("kill", "stop", "cut", "link")
"""kill -9; SIGSTOP; a worker's cable; the way between the two workers of the chain, and only that."""
TOLERANCE = 2.0
RUNS_OF_ONE = 10
PATIENCE_SECONDS = 330.0
"""For workers that are to stand by again; the longest that one is left alone is 300 s."""


@dataclass(frozen=True)
class Run:
    """What was done to whom, after how many tokens, and what the streams saw of it. `quiet`: the longest time without a
    token of any stream that began with the fault, in seconds. `shortfall`: how far below the best logit the worst token
    lay.
    """

    seed: int
    wound: str
    worker: str
    moment: int
    quiet: float
    shortfall: float
    is_kept: bool


@dataclass(frozen=True)
class Undisturbed:
    """What a run with a fault is held against. `tokens`: None in bfloat16."""

    tokens: list[list[int]] | None
    shortfall: float


class Site:
    """The cluster as its clients on the operator's host see it."""

    model = "endless"

    def __init__(self, cluster: HostedCluster, source: Path, dtype: str) -> None:
        self.cluster = cluster
        operator = cluster.hosts["operator"]
        self.url = f"https://{operator.address}:8443/v1"
        home = cluster.home("operator")
        self.root = str(home / "identities" / "api" / "root.pem")
        cluster.prepare(source, CHAIN)
        self.key = (home / "api.key").read_text()
        for name in (*CHAIN, *SPARES):
            cluster.run("operator", "pki", "issue", "worker", name, "--out", cluster.home(name) / "identity")
            cluster.start_worker(name)
        spares = [part for name in SPARES for part in ("--spare", f"{name}={cluster.hosts[name].address}:8003")]
        cluster.start_controller(CHAIN, *spares, "--dtype", dtype).read_until("serving endless")

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.cluster.operate("alice", "status", "--json")))

    @contextmanager
    def wound(self, kind: str, name: str, chain: Sequence[str]) -> Iterator[None]:
        """Done at the beginning, healed at the end."""
        node, host = self.cluster.nodes[name], self.cluster.hosts[name]
        one, other = (self.cluster.hosts[serving] for serving in chain)
        try:
            if kind == "kill":
                os.kill(node.pid, signal.SIGKILL)
            elif kind == "stop":
                os.kill(node.serving, signal.SIGSTOP)
            elif kind == "cut":
                host.cut()
            else:
                one.lose(other)
                other.lose(one)
            yield
        finally:
            if kind == "kill":
                node.kill()
                self.cluster.start_worker(name)
            elif kind == "stop":
                os.kill(node.serving, signal.SIGCONT)
            elif kind == "cut":
                host.cut(down=False)
            else:
                one.lose(other, lost=False)
                other.lose(one, lost=False)


class Judge:
    """The whole model in float32, unsplit."""

    def __init__(self, source: Path) -> None:
        from transformers import AutoModelForCausalLM

        self._model = AutoModelForCausalLM.from_pretrained(source, dtype="float32").eval()

    def shortfall(self, streams: list[Stream]) -> float:
        """The most that a token's logit lies below the best one's, at the same place."""
        import torch

        with torch.inference_mode():
            rows = torch.tensor([[*stream.prompt, *stream.tokens] for stream in streams])
            logits = self._model(rows).logits[:, len(streams[0].prompt) - 1 : -1]
            chosen = logits.gather(-1, rows[:, len(streams[0].prompt) :, None])
            return float((logits.max(-1, keepdim=True).values - chosen).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--wounds", choices=WOUNDS, nargs="+", default=WOUNDS)
    parser.add_argument("--in-turn", action="store_true", help="The wounds one after the other, not by chance.")
    parser.add_argument("--json", type=Path, help="Write every run here.")
    options = parser.parse_args()
    if why := missing():
        sys.exit(why)
    runs: list[Run] = []
    while len(runs) < options.runs:
        with tempfile.TemporaryDirectory(prefix="mohawk-faults-") as folder:
            source = build_endless(Path(folder) / "endless", CONTEXT)
            with hosted(Path(folder) / "hosts", "operator", *CHAIN, *SPARES) as cluster:
                cluster.hosts["operator"].enter()
                runs += repeat(Site(cluster, source, options.dtype), Judge(source), options, len(runs))
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n")
    sys.exit(tell(runs))


def repeat(site: Site, judge: Judge, options: argparse.Namespace, done: int) -> list[Run]:
    wait_for_spares(site, len(SPARES))
    undisturbed = Streams(site, PROMPTS, TOKENS).finish()
    tokens = [stream.tokens for stream in undisturbed] if options.dtype == "float32" else None
    before = Undisturbed(tokens, judge.shortfall(undisturbed))
    print(f"undisturbed: at most {before.shortfall:.3f} below the best logit", flush=True)
    runs = []
    for number in range(done, min(done + RUNS_OF_ONE, options.runs)):
        if runs:
            wait_for_spares(site, len(SPARES), seconds=PATIENCE_SECONDS)
        wounds = [options.wounds[number % len(options.wounds)]] if options.in_turn else options.wounds
        runs.append(wound_once(site, judge, options.seed + number, wounds, before))
        print(runs[-1], flush=True)
    return runs


def wound_once(site: Site, judge: Judge, seed: int, wounds: Sequence[str], before: Undisturbed) -> Run:
    """One fault under eight streams, healed when they have ended."""
    chance = random.Random(seed)
    kind, stage, moment = chance.choice(wounds), chance.randrange(len(CHAIN)), chance.randrange(1, TOKENS - 40)
    chain = [worker["name"] for worker in site.status()["workers"][: len(CHAIN)]]
    running = Streams(site, PROMPTS, TOKENS)
    running.wait_for(moment)
    with site.wound(kind, chain[stage], chain):
        begin = time.monotonic()
        streams = running.finish()
    is_whole = all(stream.error is None and len(stream.tokens) == TOKENS for stream in streams)
    shortfall = judge.shortfall(streams) if is_whole else float("inf")
    is_right = shortfall <= TOLERANCE * before.shortfall
    if before.tokens is not None:
        is_right = [stream.tokens for stream in streams] == before.tokens
    quiet = round(quiet_since(begin, streams), 3)
    return Run(seed, kind, chain[stage], moment, quiet, round(shortfall, 4), is_whole and is_right)


def quiet_since(begin: float, streams: list[Stream]) -> float:
    times = [begin, *sorted(moment for stream in streams for moment in stream.times if moment > begin)]
    return max((after - before for before, after in itertools.pairwise(times)), default=0.0)


def tell(runs: list[Run]) -> bool:
    """Times by kind, and whether the promise was broken."""
    for kind in WOUNDS:
        if quiet := sorted(run.quiet for run in runs if run.wound == kind):
            print(f"{kind}: {len(quiet)} runs, quiet for {median(quiet):.2f} s (median), {quiet[-1]:.2f} s (most)")
    kept = sum(run.is_kept for run in runs)
    print(
        f"{kept} of {len(runs)} kept the promise; at most {max(run.shortfall for run in runs):.3f} below the best logit"
    )
    return kept != len(runs)


if __name__ == "__main__":
    main()
