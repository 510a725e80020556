"""Running several coroutines as one: the first failure cancels the rest and is raised as itself."""

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
