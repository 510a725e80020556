"""Ctrl-C and SIGTERM, for commands that run an event loop: what is under way is cancelled, what is up is stopped."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import TypeVar

Result = TypeVar("Result")


class Interruption:
    """The first SIGINT or SIGTERM of this process, from the running loop on."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._event.set)

    async def wait(self) -> None:
        await self._event.wait()

    async def guard(self, work: Coroutine[object, object, Result]) -> Result:
        """The result of `work`. Raises KeyboardInterrupt, with `work` cancelled and ended, when the signal comes
        first.
        """
        task = asyncio.ensure_future(work)
        waiting = asyncio.ensure_future(self.wait())
        try:
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                raise KeyboardInterrupt
            return task.result()
        finally:
            waiting.cancel()
