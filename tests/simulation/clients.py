"""Clients: conversations of several turns, of many tenants, at all priorities; some leave in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from random import Random

from mohawk.controller.engine import Engine
from mohawk.errors import MohawkError
from mohawk.generation.session import Caller, GenerationRequest, Priority
from mohawk.nouns.model import SamplingParameters
from tests.simulation.history import History
from tests.simulation.stage import END, VOCABULARY, letter

TENANTS = 12
GREEDY_SHARE = 0.4
"""Of all conversations, those of one tenant."""
MOST_PROMPT = 80
MOST_NEW = 48
MOST_TURNS = 4
SHARED_PROMPT = 40
RETRY_SECONDS = 2.0
RETRIES = 20
SAMPLING = SamplingParameters(temperature=0.0)


@dataclass(frozen=True, slots=True)
class Crowd:
    """So many conversations, `at_once` of them under way."""

    sessions: int
    at_once: int


class Clients:
    """The same seed, the same conversations, whatever happens to them."""

    def __init__(self, engine: Engine, history: History, crowd: Crowd, seed: int) -> None:
        self._engine = engine
        self._history = history
        self._crowd = crowd
        self._seed = seed

    async def run(self) -> None:
        """Until every conversation is over."""
        numbers = iter(range(self._crowd.sessions))
        async with asyncio.TaskGroup() as group:
            for _ in range(self._crowd.at_once):
                group.create_task(self._converse_on(numbers))

    async def _converse_on(self, numbers: Iterator[int]) -> None:
        for number in numbers:
            await self._converse(Random(f"{self._seed}/{number}"), f"session-{number}")

    async def _converse(self, random: Random, session: str) -> None:
        number = 0 if random.random() < GREEDY_SHARE else random.randrange(1, TENANTS)
        caller = Caller(f"tenant-{number}", random.choice(list(Priority)), session)
        spoken: list[int] = [1 + number] * SHARED_PROMPT if random.random() < 0.5 else []
        for _ in range(random.randint(1, MOST_TURNS)):
            spoken += [random.randrange(1, VOCABULARY) for _ in range(random.randint(1, MOST_PROMPT))]
            stop = (letter(random.randrange(1, VOCABULARY)),) if random.random() < 0.2 else ()
            request = GenerationRequest(
                tuple(spoken), random.randint(1, MOST_NEW), SAMPLING, stop, frozenset({END}), caller
            )
            answer = await self._ask(random, request)
            if answer is None:
                break
            spoken += [token for token in answer if token != END]
            await asyncio.sleep(random.expovariate(5.0))
        if random.random() < 0.8:
            self._engine.end_session(session)

    async def _ask(self, random: Random, request: GenerationRequest) -> list[int] | None:
        """The answer; who is told to come back later does so, a few times."""
        for _ in range(RETRIES):
            leaves_after = random.randrange(MOST_NEW) if random.random() < 0.1 else None
            patience = random.expovariate(0.5) if random.random() < 0.05 else None
            try:
                return await self._listen(request, leaves_after, patience)
            except MohawkError:
                await asyncio.sleep(random.expovariate(1 / RETRY_SECONDS))
        return None

    async def _listen(self, request: GenerationRequest, leaves_after: int | None, patience: float | None) -> list[int]:
        """What was heard until the end, or until the client left. Raises MohawkError."""
        history, tokens = self._history, []
        answer = history.begin(request)
        try:
            async with asyncio.timeout(patience), aclosing(self._engine.generate(request)) as deltas:
                async for delta in deltas:
                    history.hear(answer, delta)
                    tokens.append(delta.token or 0)
                    if len(tokens) == leaves_after:
                        history.leave(answer)
                        break
                else:
                    if not answer.end:
                        history.violate(answer, "it just stopped")
        except TimeoutError:
            history.leave(answer)
        except MohawkError as error:
            history.fail(answer, error)
            raise
        return tokens
