"""When what happened to which step, noted by wrapping methods of this process's own classes. The monotonic clock is one
for all processes of a machine.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Number = Callable[..., int]
"""The step's number, from the wrapped method's arguments."""


class StepClock:
    """`latest`: the step noted last. Notes of steps without a number (0: they only close) are dropped when read."""

    def __init__(self) -> None:
        self._notes: list[tuple[str, int, float]] = []
        self.latest = 0

    def note(self, event: str, number: int, when: float | None = None) -> None:
        self.latest = number
        self._notes.append((event, number, time.monotonic() if when is None else when))

    def before(self, owner: type, name: str, event: str, number: Number) -> None:
        """Note `event` whenever the method begins."""
        original = getattr(owner, name)

        @functools.wraps(original)
        def noted(*arguments: Any) -> Any:
            self.note(event, number(*arguments))
            return original(*arguments)

        setattr(owner, name, noted)

    def around(self, owner: type, name: str, events: tuple[str, str], number: Number) -> None:
        """Note when the method begins, and when it ends."""
        original = getattr(owner, name)

        @functools.wraps(original)
        def noted(*arguments: Any) -> Any:
            step = number(*arguments)
            self.note(events[0], step)
            try:
                return original(*arguments)
            finally:
                self.note(events[1], step)

        setattr(owner, name, noted)

    def steps(self) -> dict[int, dict[str, float]]:
        """Step -> event -> when it happened (the first time)."""
        return gather(self._notes)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self._notes), "ascii")


def read_steps(path: Path) -> dict[int, dict[str, float]]:
    return gather([(event, number, when) for event, number, when in json.loads(path.read_text("ascii"))])


def gather(notes: list[tuple[str, int, float]]) -> dict[int, dict[str, float]]:
    steps: dict[int, dict[str, float]] = {}
    for event, number, when in notes:
        if number:
            steps.setdefault(number, {}).setdefault(event, when)
    return steps
