"""How long a newcomer would wait: told before it waits in vain."""

from __future__ import annotations

import pytest

from mohawk.generation.queue_time import QueueTime


def test_nothing_is_known_of_a_queue_that_never_was() -> None:
    queue = QueueTime()
    queue.observe(5, 0, 10.0)
    assert queue.estimate(3, 99.0) == 0.0


def test_those_before_times_what_each_took() -> None:
    queue = QueueTime()
    queue.observe(0, 10, 0.0)
    for number in range(1, 6):
        queue.observe(number, 10, number * 0.5)
    assert queue.estimate(10, 2.5) == pytest.approx(5.0)


def test_several_admitted_at_once_share_the_time() -> None:
    queue = QueueTime()
    queue.observe(0, 8, 0.0)
    queue.observe(4, 4, 2.0)
    assert queue.estimate(4, 2.0) == pytest.approx(2.0)


def test_an_idle_time_without_anybody_waiting_says_nothing() -> None:
    queue = QueueTime()
    queue.observe(0, 1, 0.0)
    queue.observe(1, 0, 1.0)
    queue.observe(2, 0, 500.0)
    assert queue.estimate(1, 500.0) == pytest.approx(1.0)


def test_a_queue_that_stands_still_is_a_long_one() -> None:
    queue = QueueTime()
    queue.observe(0, 2, 0.0)
    queue.observe(1, 2, 0.1)
    assert queue.estimate(2, 40.1) == pytest.approx(40.0)


def test_one_long_step_turns_no_crowd_away() -> None:
    """Prompts of a crowd: sixteen are computed in one step of a second and a half, and the others' turn is next."""
    queue = QueueTime()
    queue.observe(16, 34, 0.0)
    assert queue.estimate(34, 1.4) < 2.0
    queue.observe(32, 18, 1.5)
    assert queue.estimate(18, 2.9) < 4.0


def test_a_crowd_whose_answers_begin_together_is_not_turned_away_before_they_end() -> None:
    """Thirty places become free together, every twelve seconds."""
    queue = QueueTime()
    for turn in range(6):
        queue.observe(30 * turn, 30, 12.0 * turn)
    assert queue.estimate(30, 60.1) == pytest.approx(12.0)
    assert queue.estimate(30, 71.0) == pytest.approx(12.0)


def test_a_few_quick_admissions_open_the_door_to_no_crowd() -> None:
    queue = QueueTime()
    for number in range(60):
        queue.observe(number, 30, number * 0.4)
    for number in range(3):
        queue.observe(60 + number, 30, 24.0 + number * 0.01)
    assert queue.estimate(30, 24.03) > 10.0


def test_steps_that_admit_many_and_few_by_turns_weigh_by_what_they_admit() -> None:
    queue = QueueTime()
    admitted, now = 0, 0.0
    queue.observe(admitted, 9, now)
    for _ in range(30):
        for fresh, seconds in ((1, 1.0), (16, 1.0)):
            admitted, now = admitted + fresh, now + seconds
            queue.observe(admitted, 9, now)
    assert queue.estimate(17, now) == pytest.approx(2.0, rel=0.2)


def test_who_finds_a_place_does_not_wait_for_a_queue_that_waits_for_its_prompts() -> None:
    """One long prompt takes every step's share: that those behind it stand for long says nothing of places."""
    queue = QueueTime()
    queue.observe(0, 1, 0.0)
    assert queue.estimate(0, 40.0) == 0.0
