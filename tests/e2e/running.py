"""One home and its runs, for all tests that only look: a first `mohawk up` that was stopped, and a second that serves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.processes import Up, wait_until_gone

QUESTION = "What is a sealed slice?"


@dataclass(frozen=True)
class FirstRun:
    """What is known of a run that has ended."""

    home: Path
    answer: str
    exit_code: int
    survivors: list[int]
    left_url: bool
    """Whether the address file, which says that a server runs, outlived the run."""
    sealed: dict[str, int]
    """Sealed files with the times of their last change (ns)."""


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    """Up on an empty home, one chat, Ctrl-C."""
    home = tmp_path_factory.mktemp("up") / "home"
    up = Up(home)
    try:
        answer = up.command("chat", QUESTION)
        assert answer.returncode == 0, answer.stderr
        code = up.stop()
    finally:
        up.kill()
    survivors = wait_until_gone([*up.workers, *up.others], 5)
    left_url = (home / "api" / "url").exists()  # now: the next run writes it again
    return FirstRun(home, answer.stdout, code, survivors, left_url, sealed_files(home))


@pytest.fixture(scope="session")
def up(first_run: FirstRun) -> Iterator[Up]:
    """The second start in the same home; it serves until the session ends."""
    running = Up(first_run.home)
    yield running
    running.stop()


def sealed_files(home: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(home.rglob("*.sealed"))}
