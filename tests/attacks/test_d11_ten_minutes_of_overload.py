"""D11: for ten minutes three times as many requests come as the cluster can answer, then half as many.

Expected: it goes on answering at its peak; who is turned away is told within 50 ms, and nobody who is let in waits in
vain; ten seconds after the rush nobody is turned away, and answers begin as they did before it.
Defence: generation/batcher.py:Batcher.add (the bound of the queue) and controller/engine.py:Engine._admit (the bound of
the wait); removed, everybody is let in, two of three leave after a wait that was in vain, and the patient wait longer and
longer.

In virtual time, with the real engine, batcher, pipeline and chain (`tests.simulation`). How long a recovery takes is the
time of four answers, at most LONGEST_QUEUE_SECONDS: of answers longer than these it is more than ten seconds.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from random import Random
from statistics import median

from mohawk.controller.engine import LONGEST_QUEUE_SECONDS, Engine
from mohawk.errors import UnavailableError
from mohawk.generation.session import Caller, GenerationRequest, Priority
from tests.simulation.clients import SAMPLING, TENANTS
from tests.simulation.cluster import Shape, SimulatedController, perform
from tests.simulation.stage import VOCABULARY

SHAPE = Shape(workers=2, stages=2, sequences=8, kv_tokens=8 * 512, depth=2, step_seconds=0.05)
TOKENS_EACH = 1 / (SHAPE.stages * SHAPE.step_seconds)
"""A second, of a sequence."""
RUSH, CALM = 3.0, 0.5
"""Of what can be answered."""
MINUTE = 60.0
RUSH_SECONDS = 10 * MINUTE
RECOVERY_SECONDS = 10.0
SHED_SECONDS = 0.05
SHORT, LONG = 16, 400
"""Tokens of an answer."""
PATIENCE_SECONDS = 20.0
"""Of a client that waits for its first token."""


@dataclass(slots=True)
class Visit:
    """One client's one request. `end`: complete, refused or left."""

    asked: float
    first: float = 0.0
    ended: float = 0.0
    tokens: int = 0
    end: str = "left"


@dataclass
class Door:
    """Clients that come whether or not others were answered, each asking for `tokens`."""

    engine: Engine
    tokens: int
    patience: float
    random: Random = field(default_factory=lambda: Random(11))

    async def open(self, load: float, seconds: float) -> list[Visit]:
        """As many come as `load` times what can be answered; all of them, when the last has gone."""
        clock = asyncio.get_running_loop().time
        each_second = load * SHAPE.sequences * TOKENS_EACH / self.tokens
        visits: list[Visit] = []
        async with asyncio.TaskGroup() as group:
            end = clock() + seconds
            while clock() < end:
                visits.append(Visit(clock()))
                group.create_task(self._visit(visits[-1]))
                await asyncio.sleep(self.random.expovariate(each_second))
        return visits

    async def _visit(self, visit: Visit) -> None:
        clock, random = asyncio.get_running_loop().time, self.random
        caller = Caller(f"tenant-{random.randrange(TENANTS)}", Priority.NORMAL, f"session-{random.random()}")
        prompt = tuple(random.randrange(1, VOCABULARY) for _ in range(16))
        try:
            async with (
                asyncio.timeout(self.patience) as patience,
                aclosing(
                    self.engine.generate(GenerationRequest(prompt, self.tokens, SAMPLING, caller=caller))
                ) as answer,
            ):
                async for _ in answer:
                    visit.tokens += 1
                    if visit.tokens == 1:
                        visit.first = clock()
                        patience.reschedule(None)
            visit.end = "complete"
        except UnavailableError:
            visit.end = "refused"
        except TimeoutError:
            pass
        visit.ended = clock()


def goodput(visits: list[Visit], begin: float, end: float) -> float:
    """Tokens a second, of whole answers that came between these moments."""
    whole = [visit.tokens for visit in visits if visit.end == "complete" and begin < visit.ended <= end]
    return sum(whole) / (end - begin)


def let_in(visits: list[Visit]) -> list[Visit]:
    return [visit for visit in visits if visit.end != "refused"]


def wait(visit: Visit) -> float:
    """Seconds until its first token, or until it left without one."""
    return (visit.first or visit.ended) - visit.asked


def test_ten_minutes_of_three_times_too_much() -> None:
    async def story(controller: SimulatedController) -> None:
        door, clock = Door(controller.engine, SHORT, PATIENCE_SECONDS), asyncio.get_running_loop().time
        begin = clock()
        enough = await door.open(1.0, 2 * MINUTE)
        peak = goodput(enough, begin, begin + 2 * MINUTE)
        await door.open(CALM, MINUTE)
        begin = clock()
        async with asyncio.TaskGroup() as group:
            rushing = group.create_task(door.open(RUSH, RUSH_SECONDS))
            await asyncio.sleep(RUSH_SECONDS)
            end = clock()
            calming = group.create_task(door.open(CALM, 2 * MINUTE))
        rush, calm = rushing.result(), calming.result()
        assert goodput(rush, begin, end) >= 0.9 * peak
        assert len(let_in(rush)) < 0.4 * len(rush), "a third is what can be answered"
        assert max(visit.ended - visit.asked for visit in rush if visit.end == "refused") <= SHED_SECONDS
        in_vain = [visit for visit in let_in(rush) if visit.end == "left"]
        assert len(in_vain) < 0.02 * len(let_in(rush)), "tenants that come often wait for those that come seldom"
        later = [visit for visit in calm if visit.asked > end + RECOVERY_SECONDS]
        assert {visit.end for visit in later} == {"complete"}
        assert max(map(wait, later)) < SHORT / TOKENS_EACH

    perform(SHAPE, story)


def test_long_answers_are_waited_for_as_long_as_short_ones() -> None:
    """A queue of the same length would be two and a half minutes."""

    async def story(controller: SimulatedController) -> None:
        rush = await Door(controller.engine, LONG, patience=30 * MINUTE).open(RUSH, RUSH_SECONDS)
        assert median(map(wait, let_in(rush))) < 1.5 * LONGEST_QUEUE_SECONDS

    perform(SHAPE, story)
