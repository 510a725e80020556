"""Several coroutines as one: the first failure cancels the rest, and is raised. And when regular work is due."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import TypeVar

Result = TypeVar("Result")


async def gather_or_cancel(work: Iterable[Coroutine[object, object, Result]]) -> list[Result]:
    """All results in order. `asyncio.gather` alone would leave the others running after a failure."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def until_next(period: float, now: float) -> float:
    """Seconds until the next multiple of `period`. What is done at multiples of one time is done together: a processor
    that is woken, or taken from the workers beside us, for each of them alone spends most of it on waking.
    """
    seconds = period - now % period
    return seconds if seconds > period / 10 else seconds + period  # a timer may come a little early
