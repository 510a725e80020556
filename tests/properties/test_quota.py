"""Whatever a client does, in no span of time does it get more than its share and what the span brings."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from mohawk.errors import LimitError
from mohawk.generation.quota import Limits, Quota

PAUSES = st.lists(st.floats(0, 90), max_size=60)


@given(pauses=PAUSES, share=st.integers(1, 50))
def test_requests_of_any_span_stay_within_the_share(pauses: list[float], share: int) -> None:
    quota, limits, now, taken = Quota(), Limits(requests_per_minute=share), 0.0, []
    for pause in pauses:
        now += pause
        with suppress(LimitError):
            quota.count_request(limits, now)
            taken.append(now)
    for begin in range(len(taken)):
        for end in range(begin, len(taken)):
            assert end - begin + 1 <= share * (1 + (taken[end] - taken[begin]) / 60) + 1e-6


@given(
    share=st.integers(1, 1000),
    requests=st.lists(st.tuples(st.floats(0, 90), st.integers(1, 3000), st.floats(0, 1)), max_size=40),
)
def test_tokens_over_a_long_time_stay_within_the_share_but_for_the_last_answer(
    share: int, requests: list[tuple[float, int, float]]
) -> None:
    quota, limits, now, used, longest = Quota(), Limits(tokens_per_minute=share), 0.0, 0, 0
    for pause, tokens, part in requests:
        now += pause
        with suppress(LimitError):
            reserved = quota.reserve(limits, tokens, now)
            quota.settle(reserved, int(tokens * part))
            used += int(tokens * part)
            longest = max(longest, int(tokens * part))
    assert used <= share * (1 + now / 60) + longest + 1e-6


@given(pauses=PAUSES, share=st.integers(1, 50))
def test_who_waits_as_long_as_he_is_told_gets_in(pauses: list[float], share: int) -> None:
    quota, limits, now = Quota(), Limits(requests_per_minute=share), 0.0
    for pause in pauses:
        now += pause / 100
        try:
            quota.count_request(limits, now)
        except LimitError as refusal:
            now += refusal.retry_seconds + 1e-9
            quota.count_request(limits, now)
