"""What a small file holds, parsed again when it changed: others change it while we run, and a look must cost little.

Rules, and the attack each stops:

1. A file is the one that was parsed while its inode, size and both times are: nobody can set the time of its last
   change (ctime) back, and a chmod or another name moves it too, so that what `host.files` checks is checked again.
2. What changed a moment ago is not kept: its next change could fall into the same tick of the clock.
3. Nothing is kept of a file that is missing, cannot be looked at, or does not parse.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from mohawk.host.files import translate_errors

Content = TypeVar("Content")

_SETTLED_NANOSECONDS = 100_000_000
"""Many ticks of the clock by which file systems note times (1-10 ms)."""
_Mark = tuple[int, ...]


class ParsedFile(Generic[Content]):
    """`parse` reads `path`, and says what holds where there is none, or raises; what it raises, `read` does."""

    def __init__(self, path: Path, parse: Callable[[], Content]) -> None:
        self._path = path
        self._parse = parse
        self._known: tuple[_Mark, Content] | None = None

    def read(self) -> Content:
        """Raises HostError when the folder cannot be looked at."""
        mark = self._look()
        if mark is None:
            return self._parse()
        if self._known is None or self._known[0] != mark:  # looked at before it is read: a change meanwhile is seen
            self._known = None
            self._known = (mark, self._parse())
        return self._known[1]

    def _look(self) -> _Mark | None:
        """By what this file is known again. None: by nothing."""
        with translate_errors("looking at a file"):
            try:
                found = self._path.lstat()
            except FileNotFoundError:
                return None
        if time.time_ns() - found.st_ctime_ns < _SETTLED_NANOSECONDS:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
