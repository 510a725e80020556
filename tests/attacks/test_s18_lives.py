"""S18: a worker by hand is two processes, one that forks and one that serves. Somebody kills the one that every
supervisor knows, and the one that holds opened weights goes on alone; or crashes that one again and again, to learn from
how it dies where things lie in memory, which is the same in all of its lives.

Expected: the one that serves is killed with the one that forks; and a life that crashed is followed by none.
Defence: host/lives.py:_end_with, and host/lives.py:_watch, which ends with the code of a life that failed; removed, a
process that nobody watches over keeps weights and connections, or there are as many tries as somebody wants.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.inside import Site
from tests.e2e.processes import Mohawk, wait_until_gone

LIMIT_SECONDS = 10.0


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Mohawk]:
    site = Site(tmp_path / "home")
    with site.worker_processes(1, quiet=False, ended=(-signal.SIGKILL, 128 + signal.SIGSEGV)):
        yield site.nodes[0]


def test_what_serves_is_not_left_alone(worker: Mohawk) -> None:
    serving = worker.serving
    try:
        os.kill(worker.pid, signal.SIGKILL)
        assert wait_until_gone([serving], LIMIT_SECONDS) == []
    finally:
        worker.process.wait()
        if wait_until_gone([serving], 0.0):
            os.kill(serving, signal.SIGKILL)


def test_a_life_that_crashed_is_followed_by_none(worker: Mohawk) -> None:
    os.kill(worker.serving, signal.SIGSEGV)
    assert worker.process.wait(LIMIT_SECONDS) == 128 + signal.SIGSEGV
