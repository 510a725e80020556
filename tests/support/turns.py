"""In place of a worker's compute thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def at_once(work: Callable[[], Result]) -> Result:
    """`mohawk.model.turns.Turns` where nothing else computes."""
    return work()
