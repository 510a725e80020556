"""Claim: at three times the rate of requests that saturates it, the server still does at least 90 % of the useful work
that it does at its best, and tells those whom it cannot serve within 50 ms.

    python -m bench.bench_overload [--rounds 3] [--seconds 60] [--tokens 48] [--deadline 45] [--small]

Random Llama of half a billion parameters, bfloat16, two workers, room for 32 answers at once, all else as `mohawk up`
sets it. First 48 sessions ask as fast as they are answered: the most tokens per second that there are, `saturated`,
counted over several rounds of answers, because they all begin and end together. Then requests arrive by chance and wait
for nobody (a Poisson process), at 1 and at 3 times the rate that this is, each over a connection of its own; and at 3
times over connections that are used again (`3x_pooled`), as HTTP libraries do, because here the handshakes of both ends
are computed by the two cores that compute the answers. The order of the loads changes from round to round, and what is
compared are medians over the rounds: the best of four noisy numbers is not the machine's best.

Good is an answer that is complete within `deadline` seconds of its sending; goodput counts their tokens, from 20 s
after the first request until the last one is sent. A refusal takes from the moment when its request could be sent on
an open connection until its status line is there (`refused_p50`, `refused_p99`, in seconds). `unclear`: requests
that ended neither complete nor with 429 or 503 and Retry-After; none may.
"""

from __future__ import annotations

import argparse
import random
import statistics

from bench.answers import Outcome, arrivals, goodput, quantile, run_job, session
from bench.machine import describe_machine, write_result
from bench.models import half_billion, small
from bench.servers import Capacity, Server, mohawk_server
from mohawk.nouns.model import BLOCK_TOKENS

PROMPT_TOKENS = 32
AT_ONCE = 32
CROWD = 48
"""More than can run, and few enough that nobody is turned away."""
TURNS = 5
"""Of each session: the first and the last begin and end with few others."""
SOURCES = 8
RAMP_SECONDS = 20.0
OVERLOAD = 3
LOADS = (("1x", 1, False), ("3x", OVERLOAD, False), ("3x_pooled", OVERLOAD, True))
"""Name, times the saturating rate, whether connections are used again."""
Round = dict[str, float]


def saturate(server: Server, tokens: int, seed: int) -> float:
    """Tokens per second with more sessions than can run, while all of them ask."""
    chance = random.Random(seed)
    outcome = run_job(server.address, [session(TURNS, PROMPT_TOKENS, tokens, chance) for _ in range(CROWD)])
    if outcome.incomplete:
        raise RuntimeError(f"{[answer.error for answer in outcome.answers]}")
    ends = sorted(answer.ended for answer in outcome.answers)
    return goodput(outcome.answers, ends[AT_ONCE], ends[-AT_ONCE], float("inf"))


def offer(server: Server, rate: float, pooled: bool, arguments: argparse.Namespace, seed: int) -> Round:
    """`rate`: requests per second. Not `pooled`: each comes over a connection of its own."""
    chance = random.Random(seed)
    times = arrivals(rate, arguments.seconds, chance)
    asked = [session(1, PROMPT_TOKENS, arguments.tokens, chance, start=time) for time in times]
    outcome = run_job(server.address, asked, connect_first=False, pooled=pooled, sources=SOURCES)
    return describe(outcome, arguments.seconds, arguments.deadline)


def describe(outcome: Outcome, seconds: float, deadline: float) -> Round:
    answers = outcome.answers
    complete = [answer for answer in answers if answer.is_complete]
    refused = [answer for answer in answers if answer.is_refused]
    waits = [answer.headed - answer.connected for answer in refused]
    return {
        "offered": len(answers),
        "complete": len(complete),
        "complete_in_time": sum(answer.seconds <= deadline for answer in complete),
        "refused": len(refused),
        "unclear": len(answers) - len(complete) - len(refused),
        "goodput": goodput(answers, RAMP_SECONDS, seconds, deadline),
        "seconds_p50": quantile([answer.seconds for answer in complete], 0.5),
        "seconds_p99": quantile([answer.seconds for answer in complete], 0.99),
    } | ({"refused_p50": quantile(waits, 0.5), "refused_p99": quantile(waits, 0.99)} if waits else {})


def measure(server: Server, arguments: argparse.Namespace, seed: int) -> dict[str, Round]:
    saturated = saturate(server, arguments.tokens, seed)
    found = {"saturated": {"goodput": saturated, "requests_per_second": saturated / arguments.tokens}}
    for name, times, pooled in LOADS[seed % len(LOADS) :] + LOADS[: seed % len(LOADS)]:
        found[name] = offer(server, times * saturated / arguments.tokens, pooled, arguments, seed)
    return {name: found[name] for name in ("saturated", *(name for name, _, _ in LOADS))}


def summarise(rounds: list[dict[str, Round]]) -> dict[str, Round]:
    """Medians, and of those the overloaded goodput over the best."""
    medians = {
        load: {key: statistics.median(one[load][key] for one in rounds if key in one[load]) for key in figures}
        for load, figures in rounds[0].items()
    }
    peak = max(one["goodput"] for one in medians.values())
    for name, times, _ in LOADS:
        if times == OVERLOAD:
            medians[name]["goodput_over_peak"] = medians[name]["goodput"] / peak
    return {load: {key: round(value, 4) for key, value in figures.items()} for load, figures in medians.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--deadline", type=float, default=45.0)
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    capacity = Capacity(AT_ONCE, AT_ONCE * (PROMPT_TOKENS + arguments.tokens + BLOCK_TOKENS))  # one is left to each
    rounds = []
    with mohawk_server(small() if arguments.small else half_billion(), capacity) as server:
        saturate(server, 4, 0)  # warms up
        for number in range(1, arguments.rounds + 1):
            rounds.append(measure(server, arguments, number))
            print(number, rounds[-1], flush=True)
    profile = {"at_once": AT_ONCE, "tokens": arguments.tokens, "deadline": arguments.deadline}
    name = "overload_small" if arguments.small else "overload"
    write_result(name, describe_machine() | profile | summarise(rounds) | {"rounds": rounds})


if __name__ == "__main__":
    main()
