"""What clients saw, held against what they were promised.

Each request ends exactly once: complete, its tokens those of its solo run; left by its client; or with a typed error.
No token is lost, repeated or changed. No tenant starves, and a fault is followed by progress.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise

from mohawk.errors import MohawkError, UnavailableError
from mohawk.generation.session import FinishReason, GenerationRequest, Priority, TextDelta
from mohawk.generation.waiting import GENERATED_WEIGHT
from tests.simulation.stage import END, letter, solo

SHARE = {Priority.HIGH: 4, Priority.NORMAL: 2, Priority.LOW: 1}
"""Of the tokens that tenants at these priorities get, as `generation.waiting` promises."""
WORTH_A_LOOK = 1.0
"""Waits shorter than so many seconds starve nobody."""


@dataclass(slots=True)
class Answer:
    """One request, as its client saw it. Times in seconds; `end`: complete, left, or an error's code."""

    number: int
    request: GenerationRequest
    asked: float
    expected: Iterator[int]
    arrivals: list[float] = field(default_factory=list)
    end: str = ""
    ended: float = 0.0

    def waits(self) -> Iterator[tuple[float, float]]:
        """Between which moments nothing came."""
        return pairwise([self.asked, *self.arrivals])


class History:
    """All requests of a run, in the order in which they came."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.violations: list[str] = []
        self.silences: list[tuple[float, float]] = []
        """Between which moments nobody heard anything, and somebody waited."""
        self.open = 0
        self._heard = 0.0
        self._served: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], [0.0]))
        """For each tenant: when, and how much it was served until then, by its share."""

    # ---- as it happens ----------------------------------------------------------------------------------------------

    def begin(self, request: GenerationRequest) -> Answer:
        now = asyncio.get_running_loop().time()
        if not self.open:
            self._heard = now
        self.open += 1
        self.answers.append(Answer(len(self.answers), request, now, solo(request)))
        return self.answers[-1]

    def hear(self, answer: Answer, delta: TextDelta) -> None:
        """A piece of an answer came."""
        now = self._note_progress()
        if answer.end:
            self.violate(answer, "something came after the end")
        if delta.token is None or delta.token != next(answer.expected, None):
            self.violate(answer, f"token {len(answer.arrivals)} is not the solo run's")
        prompt = 0 if answer.arrivals else len(answer.request.prompt)
        answer.arrivals.append(now)
        self._serve(answer, now, prompt + GENERATED_WEIGHT)
        if delta.finish_reason is not None:
            self._complete(answer, delta)

    def leave(self, answer: Answer) -> None:
        """Its client has had enough."""
        if not answer.end:
            self._end(answer, "left")

    def fail(self, answer: Answer, error: MohawkError) -> None:
        """It is told that it cannot be answered: never that this is its own fault."""
        self._note_progress()
        if not isinstance(error, UnavailableError):
            self.violate(answer, f"it is blamed: {error.message}")
        self._end(answer, error.code)

    def silent_for(self) -> float:
        """Seconds since anything was heard, by somebody who waits."""
        return asyncio.get_running_loop().time() - self._heard if self.open else 0.0

    def violate(self, answer: Answer, what: str) -> None:
        now = asyncio.get_running_loop().time()
        self.violations.append(f"request {answer.number} at {now:.3f} s: {what}")

    # ---- afterwards -------------------------------------------------------------------------------------------------

    def ends(self) -> Counter[str]:
        """How many requests ended how."""
        return Counter(answer.end for answer in self.answers)

    def check_fairness(self, bound: float) -> Iterator[str]:
        """While somebody waited, no other tenant was served more than its own, beyond `bound`: tokens, weighted by
        priority.
        """
        for answer in self.answers:
            tenant = answer.request.caller.tenant
            for begin, end in answer.waits():
                if end - begin > WORTH_A_LOOK:
                    own = self.served(tenant, begin, end)
                    most = max(self.served(other, begin, end) for other in self._served)
                    if most - own > bound:
                        yield f"request {answer.number} waited {end - begin:.1f} s at {begin:.1f} s: {tenant} was served {own:.0f}, another {most:.0f}"

    def served(self, tenant: str, begin: float, end: float) -> float:
        """After `begin`, before `end`: a token that ends a wait is no part of it."""
        times, sums = self._served[tenant]
        return sums[bisect_right(times, end)] - sums[bisect_right(times, begin)]

    def digest(self) -> str:
        """Equal for equal histories."""
        told = repr([(answer.arrivals, answer.end, answer.ended) for answer in self.answers])
        return sha256(told.encode()).hexdigest()[:12]

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _serve(self, answer: Answer, now: float, tokens: int) -> None:
        times, sums = self._served[answer.request.caller.tenant]
        times.append(now)
        sums.append(sums[-1] + tokens / SHARE[answer.request.caller.priority])

    def _complete(self, answer: Answer, delta: TextDelta) -> None:
        if next(answer.expected, None) is not None:
            self.violate(answer, "the answer is cut off")
        is_stopped = delta.token == END or letter(delta.token or 0) in answer.request.stop
        if delta.finish_reason is not (FinishReason.STOP if is_stopped else FinishReason.LENGTH):
            self.violate(answer, f"it ended by {delta.finish_reason}")
        self._end(answer, "complete")

    def _end(self, answer: Answer, how: str) -> None:
        if answer.end:
            self.violate(answer, f"it ended twice: {answer.end}, {how}")
            return
        answer.end, answer.ended = how, asyncio.get_running_loop().time()
        self.open -= 1

    def _note_progress(self) -> float:
        now = asyncio.get_running_loop().time()
        if now - self._heard > WORTH_A_LOOK:
            self.silences.append((self._heard, now))
        self._heard = now
        return now
