"""Quotas: a minute's share, never two; what is refused does not count; what was set aside comes back."""

from __future__ import annotations

import pytest

from mohawk.errors import LimitError
from mohawk.generation.quota import UNLIMITED, Limits, Quota


def refused(quota: Quota, limits: Limits, now: float) -> int:
    """Seconds to wait."""
    with pytest.raises(LimitError) as refusal:
        quota.count_request(limits, now)
    return refusal.value.retry_seconds


def test_a_share_is_a_minutes_share_whenever_it_is_taken() -> None:
    quota, limits = Quota(), Limits(requests_per_minute=60)
    for _ in range(60):
        quota.count_request(limits, 100.0)
    assert refused(quota, limits, 100.0) == 1
    quota.count_request(limits, 101.0)
    assert refused(quota, limits, 101.5) == 1
    for _ in range(60):
        quota.count_request(limits, 1000.0)


def test_who_waits_as_long_as_he_is_told_gets_in_and_asking_in_between_costs_nothing() -> None:
    quota, limits = Quota(), Limits(requests_per_minute=2)
    for _ in range(2):
        quota.count_request(limits, 0.0)
    wait = refused(quota, limits, 0.0)
    for moment in range(1, wait):
        refused(quota, limits, float(moment))
    quota.count_request(limits, float(wait))


def test_tokens_are_set_aside_and_given_back() -> None:
    quota, limits = Quota(), Limits(tokens_per_minute=1000)
    reserved = quota.reserve(limits, 900, 0.0)
    with pytest.raises(LimitError):
        quota.reserve(limits, 200, 0.0)
    quota.settle(reserved, 100)
    assert quota.reserve(limits, 900, 0.0) == 900


def test_an_answer_longer_than_a_minutes_share_is_let_in_and_paid_for_later() -> None:
    quota, limits = Quota(), Limits(tokens_per_minute=100)
    reserved = quota.reserve(limits, 5000, 0.0)
    assert reserved == 100
    quota.settle(reserved, 500)
    with pytest.raises(LimitError) as refusal:
        quota.reserve(limits, 1, 0.0)
    assert refusal.value.retry_seconds == 241
    quota.reserve(limits, 1, 241.0)


def test_answers_at_once() -> None:
    quota, limits = Quota(), Limits(concurrency=2)
    quota.enter(limits)
    quota.enter(limits)
    with pytest.raises(LimitError):
        quota.enter(limits)
    quota.leave()
    quota.enter(limits)
    assert quota.running == 2


def test_limits_change_while_answers_are_under_way() -> None:
    quota = Quota()
    quota.enter(UNLIMITED)
    reserved = quota.reserve(UNLIMITED, 10**6, 0.0)
    quota.count_request(UNLIMITED, 0.0)
    quota.settle(reserved, 10**6)
    tight = Limits(requests_per_minute=1, tokens_per_minute=10, concurrency=1)
    with pytest.raises(LimitError):
        quota.enter(tight)
    quota.count_request(tight, 0.0)
    assert refused(quota, tight, 0.0) == 60
    quota.count_request(UNLIMITED, 0.0)
