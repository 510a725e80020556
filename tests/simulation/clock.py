"""Virtual time: an event loop that leaps to its next timer instead of waiting for it.

Everything that runs on it, and everything that asks `time.monotonic`, sees the same clock. The order of events is a
function of the program alone: no socket and no thread takes part.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import TypeVar
from unittest.mock import patch

Result = TypeVar("Result")


class StandstillError(Exception):
    """Nothing will ever happen again, and the program is not done."""


class _Leap(selectors.SelectSelector):
    """Where a loop would wait, time passes at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StandstillError
        self.now += max(timeout, 0.0)
        return []


def run(main: Coroutine[object, object, Result]) -> Result:
    """Run `main` to its end. Time begins at 0 s. Raises StandstillError when it waits for what cannot happen."""
    leap = _Leap()
    with (
        patch.object(time, "monotonic", lambda: leap.now),
        asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(leap)) as runner,
    ):
        return runner.run(main)
