"""A session's numbers: percentiles from buckets, and times from tokens."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mohawk.generation.session import TextDelta
from mohawk.generation.statistics import PERCENTILES, AnswerTimes, Distribution, SessionStatistics


@given(values=st.lists(st.floats(1e-5, 1e4), min_size=1, max_size=300), percent=st.sampled_from(PERCENTILES))
def test_percentiles_are_those_of_the_values_within_the_buckets_width(values: list[float], percent: int) -> None:
    distribution = Distribution()
    for value in values:
        distribution.add(value)
    exact = sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]
    assert distribution.count == len(values)
    assert distribution.percentile(percent) == pytest.approx(exact, rel=0.026)


def test_nothing_has_no_percentiles() -> None:
    assert Distribution().percentile(50) is None
    assert SessionStatistics().tokens_per_second is None


def test_a_million_numbers_need_little_memory() -> None:
    distribution, chance = Distribution(), random.Random(1)
    for _ in range(100_000):
        distribution.add(chance.lognormvariate(-3, 2))
    assert len(distribution._buckets) < 600


@pytest.mark.parametrize("value", [0.0, -1.0, 1e300])
def test_times_that_clocks_should_not_give_are_counted_at_the_ends(value: float) -> None:
    distribution = Distribution()
    distribution.add(value)
    assert distribution.count == 1


def test_an_answers_times() -> None:
    statistics = SessionStatistics()
    pace = AnswerTimes(statistics, 100.0)
    for tokens, now in ((1, 100.5), (2, 100.6), (2, 100.65), (4, 100.8)):
        pace.progress(TextDelta("", tokens, batch=3, cached=32), now)
    assert (pace.tokens, statistics.generated_tokens) == (4, 4)
    assert statistics.first_token.percentile(50) == pytest.approx(0.5, rel=0.03)
    assert statistics.between_tokens.percentile(99) == pytest.approx(0.1, rel=0.03)
    assert statistics.tokens_per_second == pytest.approx(4 / 0.8)
    assert statistics.cached_tokens == 32
    assert statistics.batch_size.percentile(50) == pytest.approx(3, rel=0.03)
