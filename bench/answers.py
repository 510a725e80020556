"""What the load generator saw, and what follows from it."""

from __future__ import annotations

import json
import math
import random
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from bench.models import FIRST_WORD, VOCABULARY

JOB_SECONDS = 600


@dataclass(slots=True)
class Answer:
    """One request and what came of it. Times in seconds since the job began. `connected`: when the request could be
    sent; `headed`: when the status line was there; `pieces`: when text came, a token at a time; `tokens`: what the
    server says it generated.
    """

    session: int
    turn: int
    sent: float
    asked: int
    status: int = 0
    connected: float = 0.0
    headed: float = 0.0
    pieces: list[float] = field(default_factory=list)
    tokens: int = 0
    ended: float = 0.0
    error: str | None = None
    retry_after: str | None = None

    @property
    def is_complete(self) -> bool:
        return self.error is None and self.tokens == self.asked

    @property
    def is_refused(self) -> bool:
        """In the proper way: before any work, by a status that says so, and when to come again."""
        return self.status in (429, 503) and self.retry_after is not None and not self.pieces

    @property
    def seconds(self) -> float:
        return self.ended - self.sent

    @property
    def first_token(self) -> float:
        """Seconds to the first token."""
        return self.pieces[0] - self.sent

    @property
    def gaps(self) -> list[float]:
        """Seconds between tokens."""
        return [after - before for before, after in pairwise(self.pieces)]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one job. `began` is a point of the monotonic clock; processor seconds since then, of the load generator and of
    the process that it was to watch.
    """

    began: float
    processor_seconds: float
    watched_seconds: float
    answers: list[Answer]

    @property
    def incomplete(self) -> int:
        return sum(not answer.is_complete for answer in self.answers)

    @property
    def tokens(self) -> int:
        return sum(answer.tokens for answer in self.answers)

    @property
    def seconds(self) -> float:
        """From the first request to the last token."""
        return max(answer.ended for answer in self.answers) - min(answer.sent for answer in self.answers)

    @property
    def decoding_rate(self) -> float:
        """Tokens per second while every answer was under way: from the last one's first token to the first one's
        end. 0 where that never was.
        """
        begin = max(answer.pieces[0] for answer in self.answers)
        end = min(answer.pieces[-1] for answer in self.answers)
        count = sum(begin < time <= end for answer in self.answers for time in answer.pieces)
        return count / (end - begin) if end > begin else 0.0


def run_job(
    server: dict[str, object],
    sessions: Sequence[dict[str, object]],
    *,
    connect_first: bool = True,
    pooled: bool = False,
    sources: int = 1,
    named: bool = False,
    at_once: int | None = None,
    watch: int | None = None,
) -> Outcome:
    """Have `bench.load` do it, which says what each of these is."""
    job: dict[str, object] = {
        "server": server,
        "connect_first": connect_first,
        "pooled": pooled,
        "sources": sources,
        "named": named,
        "at_once": at_once,
    }
    job |= {"watch": watch, "sessions": list(sessions)}
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(job),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=JOB_SECONDS,
    )
    result = json.loads(done.stdout)
    answers = [Answer(**answer) for answer in result["answers"]]
    return Outcome(result["began"], result["processor_seconds"], result["watched_seconds"], answers)


def session(
    requests: int, prompt_tokens: int, new_tokens: int, chance: random.Random, **options: float
) -> dict[str, object]:
    """A session of `requests` requests, one after the other, each with a prompt that nobody sent before."""
    asked = [
        {"prompt": [chance.randrange(FIRST_WORD, VOCABULARY) for _ in range(prompt_tokens)], "tokens": new_tokens}
        for _ in range(requests)
    ]
    return {"start": options.get("start", 0.0), "pause": options.get("pause", 0.0), "requests": asked}


def arrivals(rate: float, seconds: float, chance: random.Random) -> list[float]:
    """When requests come that know nothing of each other and wait for nobody: a Poisson process, `rate` a second."""
    times: list[float] = []
    now = chance.expovariate(rate)
    while now < seconds:
        times.append(now)
        now += chance.expovariate(rate)
    return times


def gaps_within(answers: Iterable[Answer], begin: float, end: float) -> list[float]:
    """Seconds between tokens, of each two of which some time lies between `begin` and `end`: a wait that lasts longer
    than all of that is seen, too.
    """
    pairs = (pair for answer in answers for pair in pairwise(answer.pieces))
    return [after - before for before, after in pairs if before < end and after > begin]


def goodput(answers: Iterable[Answer], begin: float, end: float, deadline: float) -> float:
    """Tokens per second that came between `begin` and `end`, of answers that were complete within `deadline` seconds:
    others were computed in vain.
    """
    good = (answer for answer in answers if answer.is_complete and answer.seconds <= deadline)
    return sum(begin < time <= end for answer in good for time in answer.pieces) / (end - begin)


def timeline(answers: Iterable[Answer], begin: float, end: float, width: float) -> list[int]:
    """Tokens of all answers in each span of `width` seconds from `begin` on."""
    counts = [0] * round((end - begin) / width)
    for time in (time for answer in answers for time in answer.pieces):
        place = math.floor((time - begin) / width)
        if 0 <= place < len(counts):
            counts[place] += 1
    return counts


def quantile(values: Iterable[float], share: float) -> float:
    """0 <= share <= 1; the smallest value that at least this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)]


def median_of_ratios(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Over rounds: what loads the machine for a while loads both sides of a round."""
    return round(statistics.median(mine / peer for mine, peer in zip(ours, theirs, strict=True)), 3)
