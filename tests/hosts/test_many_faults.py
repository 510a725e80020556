"""Faults at seeded random moments keep their promise: one of each kind here; `tests.hosts.many_faults` does more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.hosts.many_faults import WOUNDS
from tests.hosts.network import missing

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xdist_group("hosts"),
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]


def test_streams_outlive_one_fault_of_each_kind() -> None:
    seeds = ("--seed", "5", "--runs", str(len(WOUNDS)), "--in-turn")
    command = [sys.executable, "-m", "tests.hosts.many_faults", *seeds]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(WOUNDS)} of {len(WOUNDS)} kept the promise" in done.stdout
