"""Claim: a prompt of 2,000 tokens that arrives while 8 sessions decode makes the 95th percentile of their time between
tokens at most 2 times as long.

    python -m bench.bench_long_prompt [--rounds 3] [--tokens 420] [--arrives 6] [--patience 0]

Random Llama of half a billion parameters, bfloat16 on both sides, two workers (RPC servers), greedy. Both servers stay
up and take turns. `without`: gaps between two tokens of the 8 sessions from the moment when all of them decode until
the long prompt is sent; `during`: from then until its first token, gaps that reach into that time from either side
included; its own time to the first token is `first_token`. `ratio` is that of the 95th percentiles.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Sequence

from bench.answers import Answer, gaps_within, quantile, run_job, session
from bench.machine import Meter, describe_machine, wait_for_quiet, write_result
from bench.models import half_billion, half_billion_gguf
from bench.peer import peer
from bench.servers import Capacity, Server, mohawk_server, peer_server

READERS = 8
PROMPT_TOKENS = 32
LONG_PROMPT_TOKENS = 2000
LONG_ANSWER_TOKENS = 4
SPAN = 0.25
"""Seconds of the plot for each point."""
Round = dict[str, float]


def measure(server: Server, tokens: int, arrives: float, seed: int, patience: float) -> tuple[Round, list[Answer]]:
    """One job. Both servers get the same prompts for the same seed."""
    chance = random.Random(seed)
    asked = [session(1, PROMPT_TOKENS, tokens, chance) for _ in range(READERS)]
    asked.append(session(1, LONG_PROMPT_TOKENS, LONG_ANSWER_TOKENS, chance, start=arrives))
    wait_for_quiet(patience)
    meter = Meter(server.processes.values())
    outcome = run_job(server.address, asked)
    if outcome.incomplete:
        raise RuntimeError(f"{server.name}: {[answer.error for answer in outcome.answers]}")
    others = meter.others(outcome.processor_seconds)
    answers = sorted(outcome.answers, key=lambda answer: answer.session)
    return describe(answers[:-1], answers[-1]) | {"others": others}, answers


def describe(readers: Sequence[Answer], long: Answer) -> Round:
    """Raises RuntimeError where the readers were not reading all the time."""
    begin, sent, first = max(answer.pieces[0] for answer in readers), long.sent, long.pieces[0]
    if begin >= sent or min(answer.pieces[-1] for answer in readers) < first:
        raise RuntimeError("the readers did not read before and until the long prompt's first token: more --tokens")
    without = [gap for gap in gaps_within(readers, begin, sent) if gap > 0]
    during = gaps_within(readers, sent, first)
    return {
        "without_p50": quantile(without, 0.5),
        "without_p95": quantile(without, 0.95),
        "during_p50": quantile(during, 0.5),
        "during_p95": quantile(during, 0.95),
        "during_longest": max(during),
        "ratio": quantile(during, 0.95) / quantile(without, 0.95),
        "first_token": long.first_token,
    }


def draw(answers: Sequence[Answer]) -> dict[str, object]:
    """For the plot: the longest gap of any reader that touches each span, in milliseconds, and when the long prompt
    was there.
    """
    readers, long = answers[:-1], answers[-1]
    begin, end = max(answer.pieces[0] for answer in readers), min(answer.pieces[-1] for answer in readers)
    spans = [begin + SPAN * number for number in range(int((end - begin) / SPAN))]
    longest = [round(1000 * max(gaps_within(readers, span, span + SPAN)), 1) for span in spans]
    arrived, first = round(long.sent - begin, 3), round(long.pieces[0] - begin, 3)
    return {"span": SPAN, "longest_gap_ms": longest, "long_prompt_sent": arrived, "long_prompt_first_token": first}


def run(servers: Sequence[Server], arguments: argparse.Namespace) -> dict[str, object]:
    rounds: dict[str, list[Round]] = {server.name: [] for server in servers}
    drawn: dict[str, object] = {}
    for number in range(1, arguments.rounds + 1):
        for server in servers:
            one, answers = measure(server, arguments.tokens, arguments.arrives, number, arguments.patience)
            rounds[server.name].append(one)
            drawn[server.name] = draw(answers)
            print(number, server.name, {key: round(value, 3) for key, value in one.items()}, flush=True)
    medians = {
        name: {key: round(statistics.median(one[key] for one in found), 4) for key in found[0]}
        for name, found in rounds.items()
    }
    return {**medians, "rounds": rounds, "last_round": drawn}


def warm_up(server: Server) -> None:
    run_job(server.address, [session(1, PROMPT_TOKENS, 8, random.Random(0)) for _ in range(READERS)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=420)
    parser.add_argument("--arrives", type=float, default=6.0)
    parser.add_argument("--patience", type=float, default=0.0)
    arguments = parser.parse_args()
    programs, capacity = peer(), Capacity()
    with (
        mohawk_server(half_billion(), capacity) as ours,
        peer_server(programs, half_billion_gguf(), capacity) as theirs,
    ):
        warm_up(ours)
        warm_up(theirs)
        figures = run((ours, theirs), arguments)
    profile = {"peer": programs.version, "readers": READERS, "long_prompt_tokens": LONG_PROMPT_TOKENS}
    write_result("long_prompt", describe_machine() | profile | figures)


if __name__ == "__main__":
    main()
