"""Clusters under a crowd and a rain of faults keep every promise; and the same seed is the same story."""

from __future__ import annotations

import pytest

from tests.simulation.run import Run, simulate


@pytest.mark.parametrize("seed", range(2, 5))
def test_promises_are_kept(seed: int) -> None:
    outcome = simulate(Run(seed, sessions=400))
    assert outcome.violations == []
    assert outcome.ends["complete"] > 0
    assert outcome.faults.total() > 0


@pytest.mark.parametrize("seed", range(101, 104))
def test_promises_are_kept_when_little_is_left(seed: int) -> None:
    """Faults come faster than repairs: every request is still told."""
    outcome = simulate(Run(seed, sessions=150, every=0.5))
    assert outcome.violations == []


def test_without_faults_everything_is_answered_and_no_stage_refuses() -> None:
    outcome = simulate(Run(seed=4, sessions=300, every=1e9))
    assert outcome.violations == []
    assert set(outcome.ends) <= {"complete", "left", "unavailable"}
    assert (outcome.faults.total(), outcome.refusals, outcome.repairs) == (0, 0, 0)


def test_a_seed_is_a_story() -> None:
    run = Run(seed=7, sessions=60, every=1.0)
    assert simulate(run) == simulate(run)
    assert simulate(run).digest != simulate(Run(seed=8, sessions=60, every=1.0)).digest
