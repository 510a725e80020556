"""Kill a process at a chosen call into the operating system, and see what it left behind: the machinery of attack S16.

    python -m tests.support.crash_points FOLDER ROUNDS SEED

Each round forks a child that does one piece of durable work and sends itself SIGKILL just before its n-th call of a C
function (`os.pwrite`, `os.fsync`, `rename`, …, in whichever thread), n drawn at random below the number of calls that
the whole work takes, half of the time among the last tenth, where files take their names. It ends after ROUNDS kills.
Prints how often the old and how often the new state was found; anything else ends with an error.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import shutil
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mohawk.artifact.sealed_slice import SealedSlice
from mohawk.host.slice_store import SliceState, SliceStore
from tests.support.slices import make_context, make_plaintext, open_from_file, seal_to_file

if TYPE_CHECKING:
    from collections.abc import Callable

OLD, NEW = make_plaintext(seed=b"old"), make_plaintext(seed=b"new")


class Sealing:
    """Replace a sealed slice by one with other weights, then its entry."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "slice"
        self.old = seal_to_file(self.path, make_context(), OLD)

    def work(self) -> None:
        seal_to_file(self.path, make_context(), NEW)

    def check(self) -> str:
        sealed = self.path.read_bytes()
        part = SealedSlice(self.old.context, hashlib.sha256(sealed).hexdigest())
        opened = open_from_file(self.path, part)
        assert opened in (OLD, NEW), "a mixture of two slices"
        return "old" if opened == OLD else "new"


class Storing:
    """Receive a slice into a store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "store"
        self.part = seal_to_file(folder / "sealed", make_context(), NEW)
        self.sealed = (folder / "sealed").read_bytes()
        SliceStore(self.folder, 1 << 20).close()

    def work(self) -> None:
        store = SliceStore(self.folder, 1 << 20)
        offset = store.reserve(self.part)
        while offset < len(self.sealed):
            offset = store.append(self.part.digest, offset, self.sealed[offset : offset + 20_000])
        store.finish(self.part.digest)
        store.close()

    def check(self) -> str:
        store = SliceStore(self.folder, 1 << 20)
        found = store.list()
        if found and found[0].state is SliceState.COMPLETE:
            assert store.path(self.part).read_bytes() == self.sealed, "a complete slice that is not the slice"
        state = "new" if found and found[0].state is SliceState.COMPLETE else "old"
        store.close()
        if state == "old":
            self.work()  # it resumes from whatever is there
            assert open_from_file(self.folder / f"{self.part.digest}.sealed", self.part) == NEW
        return state


class Remembering:
    """Raise the highest version seen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "store"
        self._remember(1)

    def _remember(self, version: int) -> None:
        store = SliceStore(self.folder, 1 << 20)
        store.remember_version("tiny", version)
        store.close()

    def work(self) -> None:
        self._remember(2)

    def check(self) -> str:
        store = SliceStore(self.folder, 1 << 20)
        version = store.seen_versions()["tiny"]
        store.close()
        assert version in (1, 2), "a version that was never written"
        return "old" if version == 1 else "new"


def call_counter(limit: float, calls: itertools.count[int]) -> Callable[[object, str, object], None]:
    """A profile function that kills the process at call number `limit`."""

    def profile(frame: object, event: str, argument: object) -> None:
        if event == "c_call" and next(calls) >= limit:
            os.kill(os.getpid(), signal.SIGKILL)

    return profile


def run_until(work: Callable[[], None], limit: float) -> int:
    """Run `work` here, killed at call `limit`; the number of calls it made if it lived."""
    calls = itertools.count(1)
    profile = call_counter(limit, calls)
    threading.setprofile(profile)
    sys.setprofile(profile)
    work()
    sys.setprofile(None)
    threading.setprofile(None)  # type: ignore[arg-type]
    return next(calls)


class Work(Protocol):
    """One piece of durable work. Its construction prepares the old state."""

    def __init__(self, folder: Path) -> None: ...

    def work(self) -> None: ...

    def check(self) -> str:
        """ "old" or "new", and nothing in between."""


def kill_and_look(kinds: tuple[type[Work], ...], folder: Path, rounds: int, seed: int) -> None:
    """So many kills in all, taking turns among `kinds`; prints what was found."""
    chance = random.Random(seed)
    totals = {}
    for kind in kinds:
        place = folder / kind.__name__
        place.mkdir()
        totals[kind] = run_until(kind(place).work, float("inf"))
    outcomes: Counter[str] = Counter()
    for number in itertools.count():
        if outcomes["killed"] == rounds:
            break
        kind = kinds[number % len(kinds)]
        place = folder / f"round{number}"
        place.mkdir()
        prepared = kind(place)
        earliest = totals[kind] * 9 // 10 if chance.random() < 0.5 else 1
        limit = chance.randint(earliest, totals[kind])
        child = os.fork()
        if child == 0:
            run_until(prepared.work, limit)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        outcomes["killed" if os.WIFSIGNALED(status) else "finished"] += 1
        outcomes[f"{kind.__name__} {prepared.check()}"] += 1
        shutil.rmtree(place)
    for name, count in sorted(outcomes.items()):
        print(f"{name}: {count}")


def main() -> None:
    kill_and_look((Sealing, Storing, Remembering), Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))


if __name__ == "__main__":
    main()
