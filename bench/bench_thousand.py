"""Claim: with 1000 open sessions, 50 of them active, the controller needs less than 150 us of processor time for each
generated token and less than 1.5 GB of memory, and no request fails.

    python -m bench.bench_thousand [--rounds 1] [--sessions 1000] [--active 50] [--turns 200] [--tokens 64] [--small]

Random Llama of half a billion parameters, bfloat16, two workers. Each session is opened by POST /v1/sessions and keeps
a TLS connection of its own, until the server closes it (300 s without a request); they come from 8 addresses of this
machine, because one address may hold 256. Then `turns` of the sessions ask for `tokens` tokens each after a prompt of
32, streamed, `active` of them at any time. All that the controller's process does from then on counts: HTTP, TLS, text,
batching, tickets, heartbeats, store. --small: eight million parameters in place of the other, so that tokens come as
fast as the controller lets them.
"""

from __future__ import annotations

import argparse
import random
import statistics

from bench.answers import quantile, run_job, session
from bench.machine import Meter, describe_machine, peak_bytes, processor_seconds, write_result
from bench.models import half_billion, small
from bench.servers import Capacity, Server, mohawk_server

PROMPT_TOKENS = 32
SOURCES = 8
Round = dict[str, float]


def measure(server: Server, arguments: argparse.Namespace, seed: int) -> Round:
    chance = random.Random(seed)
    asked = [session(1, PROMPT_TOKENS, arguments.tokens, chance) for _ in range(arguments.turns)]
    asked += [session(0, 0, 0, chance) for _ in range(arguments.sessions - arguments.turns)]
    controller, meter = server.processes["controller"], Meter(server.processes.values())
    before = processor_seconds(controller)
    outcome = run_job(
        server.address,
        asked,
        sources=SOURCES,
        named=True,
        at_once=arguments.active,
        watch=server.processes["controller"],
    )
    opening = processor_seconds(controller) - before - outcome.watched_seconds
    return {
        "controller_microseconds_per_token": outcome.watched_seconds / outcome.tokens * 1e6,
        "controller_peak_megabytes": peak_bytes(controller) / 1e6,
        "errors": outcome.incomplete,
        "tokens": outcome.tokens,
        "tokens_per_second": outcome.tokens / outcome.seconds,
        "opening_milliseconds_per_session": opening / arguments.sessions * 1000,
        "first_token_p50": quantile((answer.first_token for answer in outcome.answers if answer.pieces), 0.5),
        "first_token_p99": quantile((answer.first_token for answer in outcome.answers if answer.pieces), 0.99),
        "others": meter.others(outcome.processor_seconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--active", type=int, default=50)
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    model = small() if arguments.small else half_billion()
    rounds = []
    for number in range(1, arguments.rounds + 1):  # each with a server of its own: sessions are not closed
        with mohawk_server(model, Capacity()) as server:
            rounds.append(measure(server, arguments, number))
        print(number, {key: round(value, 2) for key, value in rounds[-1].items()}, flush=True)
    medians = {key: round(statistics.median(one[key] for one in rounds), 3) for key in rounds[0]}
    profile = {key: getattr(arguments, key) for key in ("sessions", "active", "turns", "tokens")}
    result = describe_machine() | profile | {"model": model.name, **medians, "rounds": rounds}
    write_result("thousand_small" if arguments.small else "thousand", result)


if __name__ == "__main__":
    main()
