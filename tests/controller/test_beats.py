"""A worker that does not answer is lost; one whose answer we were too busy to read is not."""

from __future__ import annotations

import pytest

from mohawk.controller.beats import HEARTBEAT_SECONDS, Beats


def test_silence_is_counted_from_the_oldest_unanswered_beat() -> None:
    beats = Beats()
    for beat in range(4):
        beats.wake(beat * HEARTBEAT_SECONDS)
        beats.send(beat * HEARTBEAT_SECONDS)
        beats.rest(beat * HEARTBEAT_SECONDS)
    assert beats.waited(0.8) == pytest.approx(0.8)
    assert beats.answer(2, 0.8) == pytest.approx(0.55)
    assert beats.waited(0.8) == pytest.approx(0.3)


def test_what_our_own_loop_overslept_counts_against_nobody() -> None:
    beats = Beats()
    beats.wake(0.0)
    beats.send(0.0)
    beats.rest(0.0)
    beats.wake(3.0)
    assert beats.waited(3.0) == pytest.approx(HEARTBEAT_SECONDS)
    beats.send(3.0)
    beats.rest(3.0)
    for beat in range(1, 4):  # a worker that is really silent is noticed all the same
        beats.wake(3.0 + beat * HEARTBEAT_SECONDS)
        beats.rest(3.0 + beat * HEARTBEAT_SECONDS)
    assert beats.waited(3.75) == pytest.approx(4 * HEARTBEAT_SECONDS)


def test_all_workers_beats_are_due_at_the_same_moments() -> None:
    """However late each began: waking for each of them alone costs more than the beat."""
    for now in (7.01, 7.1, 7.2):
        assert now + Beats().rest(now) == pytest.approx(7.25)


def test_answers_that_nobody_waits_for_change_nothing() -> None:
    beats = Beats()
    beats.send(0.0)
    assert beats.answer(7, 0.1) is None
    assert beats.waited(0.1) == pytest.approx(0.1)
