"""D07: every request has the longest prompt that the context takes, none shares a beginning, and many more ask than fit.

Expected: tokens a second, of whole answers, stay within a tenth of the most that any number of such clients gets.
Defence: generation/kv_account.py:KVAccount.open (takes room for all of a prompt before any of it is computed); removed,
more prompts are begun than the pools hold, none of them comes to its end, and nothing is answered any more.

In virtual time, with the real engine, batcher, pipeline and chain (`tests.simulation`), whose rows cost the same
wherever they are in a prompt: what attention costs is the model's, not the scheduler's.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from random import Random

from mohawk.errors import UnavailableError
from mohawk.generation.session import Caller, GenerationRequest, Priority
from tests.simulation.clients import SAMPLING, TENANTS
from tests.simulation.cluster import Shape, SimulatedController, perform
from tests.simulation.stage import VOCABULARY

CONTEXT = 1024
ANSWER = 256
"""Of the context: what is let in has to grow."""
SHAPE = Shape(workers=2, stages=2, sequences=16, kv_tokens=4 * CONTEXT + 192, depth=2)
FEW, MANY = (2, 4, 6), 32
SECONDS = 4.0
RETRY_SECONDS = 0.1


async def ask(controller: SimulatedController, number: int, answered: list[int]) -> None:
    """One client, again and again; adds the tokens of each answer and its prompt to `answered`."""
    random = Random(number)
    while True:
        prompt = tuple(random.randrange(1, VOCABULARY) for _ in range(CONTEXT - ANSWER))
        caller = Caller(f"tenant-{number % TENANTS}", Priority.NORMAL, f"session-{random.random()}")
        request = GenerationRequest(prompt, ANSWER, SAMPLING, caller=caller)
        try:
            async with aclosing(controller.engine.generate(request)) as answer:
                async for _ in answer:
                    pass
        except UnavailableError:
            await asyncio.sleep(RETRY_SECONDS)
        else:
            answered.append(CONTEXT)


def goodput(clients: int) -> float:
    """Tokens a second of a cluster that only these ask."""
    answered: list[int] = []

    async def story(controller: SimulatedController) -> None:
        asking = [asyncio.create_task(ask(controller, number, answered)) for number in range(clients)]
        await asyncio.wait(asking, timeout=SECONDS)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    perform(SHAPE, story)
    return sum(answered) / SECONDS


def test_a_flood_of_the_longest_prompts_is_answered_at_full_pace() -> None:
    assert goodput(MANY) >= 0.9 * max(map(goodput, FEW))
