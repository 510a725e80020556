"""Claims: 16 sessions over two secured workers get at least 5 times one session's tokens per second, and at least 1.1
times what `llama-server` with as many slots over two llama.cpp RPC servers gives them.

    python -m bench.bench_throughput [--rounds 5] [--sessions 1 2 4 8 16 32] [--tokens 64] [--patience 0]

Random Llama of half a billion parameters, bfloat16 on both sides, greedy, a prompt of 32 tokens that nobody sent
before, one request for each session, all begun at once. Both servers stay up and take turns. Figures: `whole`, tokens
per second from the first request to the last token, the prompts' computing included; `decoding`, the rate while every
session was under way; processor milliseconds per token, of all processes of a server. `others` is the share of the
processors that went to programs which have nothing to do with this; --patience says how many seconds to wait for a
quiet moment before each job, on a machine that is not ours alone.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Sequence

from bench.answers import Outcome, median_of_ratios, run_job, session
from bench.machine import Meter, describe_machine, wait_for_quiet, write_result
from bench.models import half_billion, half_billion_gguf
from bench.peer import peer
from bench.servers import Capacity, Server, mohawk_server, peer_server

PROMPT_TOKENS = 32
Round = dict[str, float]


def measure(server: Server, sessions: int, tokens: int, seed: int, patience: float) -> Round:
    """One job. Both servers get the same prompts for the same seed."""
    chance = random.Random(seed)
    asked = [session(1, PROMPT_TOKENS, tokens, chance) for _ in range(sessions)]
    wait_for_quiet(patience)
    meter = Meter(server.processes.values())
    outcome = run_job(server.address, asked)
    if outcome.incomplete:
        raise RuntimeError(f"{server.name}: {[answer.error for answer in outcome.answers]}")
    return describe(outcome) | describe_costs(server, meter, outcome)


def describe(outcome: Outcome) -> Round:
    return {
        "whole": outcome.tokens / outcome.seconds,
        "decoding": outcome.decoding_rate,
        "first_token": statistics.median(answer.first_token for answer in outcome.answers),
    }


def describe_costs(server: Server, meter: Meter, outcome: Outcome) -> Round:
    used = {role: meter.used(process) for role, process in server.processes.items()}
    costs = {f"milliseconds_{role}": seconds / outcome.tokens * 1000 for role, seconds in used.items()}
    return costs | {
        "milliseconds": sum(used.values()) / outcome.tokens * 1000,
        "others": meter.others(outcome.processor_seconds),
    }


def summarise(ours: Sequence[Round], peers: Sequence[Round]) -> dict[str, object]:
    result: dict[str, object] = {}
    for name, rounds in (("mohawk", ours), ("llama.cpp", peers)):
        result[name] = {key: round(statistics.median(one[key] for one in rounds), 3) for key in rounds[0]}
    for key in ("whole", "decoding", "milliseconds"):
        result[f"ratio_{key}"] = median_of_ratios([one[key] for one in ours], [one[key] for one in peers])
    return result


def run(servers: Sequence[Server], arguments: argparse.Namespace) -> dict[str, object]:
    found: dict[tuple[str, int], list[Round]] = {}
    for number in range(arguments.rounds + 1):
        for sessions in arguments.sessions:
            for server in servers:
                one = measure(server, sessions, arguments.tokens if number else 4, number, arguments.patience)
                if number:  # the first round warms up
                    found.setdefault((server.name, sessions), []).append(one)
                    print(
                        number, sessions, server.name, {key: round(value, 2) for key, value in one.items()}, flush=True
                    )
    names = [server.name for server in servers]
    by_sessions = {str(count): summarise(*(found[name, count] for name in names)) for count in arguments.sessions}
    raw = {f"{name} {count}": rounds for (name, count), rounds in found.items()}
    return {"by_sessions": by_sessions, "gain_over_one_session": gain(found, names[0]), "rounds": raw}


def gain(found: dict[tuple[str, int], list[Round]], name: str) -> dict[str, float]:
    """Tokens per second over one session's, round by round."""
    if (name, 1) not in found:
        return {}
    one = [round_["whole"] for round_ in found[name, 1]]
    return {
        str(count): median_of_ratios([round_["whole"] for round_ in rounds], one)
        for (who, count), rounds in found.items()
        if who == name
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--patience", type=float, default=0.0)
    arguments = parser.parse_args()
    programs, capacity = peer(), Capacity()
    with (
        mohawk_server(half_billion(), capacity) as ours,
        peer_server(programs, half_billion_gguf(), capacity) as theirs,
    ):
        figures = run((ours, theirs), arguments)
    profile = {"peer": programs.version, "prompt_tokens": PROMPT_TOKENS, "new_tokens": arguments.tokens}
    write_result("throughput", describe_machine() | profile | figures)


if __name__ == "__main__":
    main()
