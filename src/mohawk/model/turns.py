"""Whose turn it is to compute: a process has one computing thread, for some of torch's switches are process-wide."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import Protocol, TypeVar

Result = TypeVar("Result")

BUILDING = RLock()
"""Held while transformers builds a model: it replaces methods of its classes and torch's default type meanwhile, for
the whole process, and two at once leave them replaced. Then no tied weight is tied any more, and stages compute
nonsense.
"""


class Turns(Protocol):
    """Does `work` while nothing else computes, and gives what it gives. It is called from a thread that does not
    compute; whoever has much to do asks for many short turns, so that steps come between them.
    """

    def __call__(self, work: Callable[[], Result]) -> Result: ...
