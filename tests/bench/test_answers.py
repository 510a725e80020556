"""What the benches make of what the load generator saw."""

from __future__ import annotations

import random

import pytest

from bench.answers import Answer, arrivals, gaps_within, goodput, median_of_ratios, quantile, timeline


def answer(pieces: list[float], **changes: object) -> Answer:
    fields: dict[str, object] = {"session": 0, "turn": 0, "sent": 0.0, "asked": len(pieces), "tokens": len(pieces)}
    fields |= {"pieces": pieces, "status": 200, "ended": pieces[-1] if pieces else 0.0}
    return Answer(**(fields | changes))  # type: ignore[arg-type]


def test_a_quantile_is_one_of_the_values() -> None:
    values = range(1, 21)
    assert quantile(values, 0.5) == 10
    assert quantile(values, 0.95) == 19
    assert quantile(values, 0.99) == 20
    assert quantile([7.0], 0.95) == 7.0


def test_a_gap_longer_than_the_whole_window_is_seen() -> None:
    stalled = answer([1.0, 1.1, 9.0, 9.1])
    assert gaps_within([stalled], 2.0, 8.0) == pytest.approx([7.9])


def test_gaps_before_and_after_the_window_are_not_its_own() -> None:
    steady = answer([1.0, 2.0, 3.0, 4.0, 5.0])
    assert gaps_within([steady], 2.0, 4.0) == [1.0, 1.0]


def test_goodput_counts_no_token_of_an_answer_that_was_late_or_broke_off() -> None:
    good = answer([1.0, 2.0, 3.0])
    late = answer([1.0, 2.0, 30.0])
    broken = answer([1.0, 2.0], asked=5)
    failed = answer([1.0, 2.0], error="unavailable")
    assert goodput([good, late, broken, failed], 0.0, 4.0, deadline=10.0) == pytest.approx(3 / 4)


def test_goodput_counts_tokens_of_the_window_only() -> None:
    assert goodput([answer([1.0, 2.0, 3.0, 4.0])], 1.0, 3.0, deadline=10.0) == pytest.approx(1.0)


def test_a_refusal_says_when_to_come_again_and_has_no_token() -> None:
    assert answer([], status=503, retry_after="2", asked=4).is_refused
    assert answer([], status=429, retry_after="2", asked=4).is_refused
    assert not answer([], status=503, asked=4).is_refused
    assert not answer([], status=500, retry_after="2", asked=4).is_refused
    assert not answer([1.0], status=503, retry_after="2", asked=4).is_refused


def test_a_timeline_has_every_token_in_its_span() -> None:
    assert timeline([answer([0.9, 1.01, 1.04, 1.06]), answer([1.21])], 1.0, 1.2, 0.05) == [2, 1, 0, 0]


def test_arrivals_come_at_the_rate_that_was_asked_for() -> None:
    times = arrivals(20.0, 100.0, random.Random(1))
    assert times == sorted(times)
    assert times[-1] < 100.0
    assert len(times) == pytest.approx(2000, rel=0.1)


def test_ratios_are_taken_round_by_round() -> None:
    assert median_of_ratios([10.0, 40.0, 30.0], [10.0, 20.0, 10.0]) == 2.0
