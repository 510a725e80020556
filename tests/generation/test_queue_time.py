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
    assert queue.estimate(2, 20.1) == pytest.approx(40.0)
