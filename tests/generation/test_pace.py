"""How long a step is waited for."""

from __future__ import annotations

from mohawk.generation.pace import (
    FAMILIAR,
    HASTE,
    HASTE_STAGE,
    LEAST_HASTE_SECONDS,
    LEAST_PATIENCE_SECONDS,
    MOST_DOUBT,
    Pace,
)


def familiar(seconds: float) -> Pace:
    """A step that decodes takes so long, each prompt token a thousandth of that more."""
    pace = Pace()
    for _ in range(FAMILIAR):
        pace.observe(decoding=1, prompt_tokens=0, seconds=seconds)
        pace.observe(decoding=1, prompt_tokens=10, seconds=seconds * 1.01)
    return pace


def test_a_step_that_is_usually_short_is_suspect_within_a_second() -> None:
    assert familiar(0.005).haste(8, 2) == LEAST_HASTE_SECONDS
    assert 0.75 < familiar(0.06).haste(1, 2) < 1.0
    assert familiar(0.06).patience(1) >= LEAST_PATIENCE_SECONDS


def test_a_long_prompt_and_a_long_chain_have_the_time_that_they_take() -> None:
    pace = familiar(0.1)
    assert pace.haste(10_000, 2) > HASTE * 1.0
    assert pace.haste(1, 50) > min(pace.patience(1), HASTE_STAGE * 50 * 0.1) * 0.99


def test_nothing_is_suspect_before_steps_are_known() -> None:
    pace = Pace()
    assert pace.haste(1, 2) == pace.patience(1)
    pace.observe(decoding=0, prompt_tokens=4, seconds=0.01)
    pace.observe(decoding=1, prompt_tokens=0, seconds=0.01)
    assert pace.haste(1, 2) == pace.patience(1)


def test_steps_given_up_in_vain_make_patient_and_steps_that_come_back_hasty_again() -> None:
    pace = familiar(0.01)
    for _ in range(10):
        pace.doubt()
    assert pace.haste(1, 2) == min(MOST_DOUBT * LEAST_HASTE_SECONDS, pace.patience(1))
    for _ in range(200):
        pace.observe(decoding=1, prompt_tokens=0, seconds=0.01)
    assert pace.haste(1, 2) == LEAST_HASTE_SECONDS
