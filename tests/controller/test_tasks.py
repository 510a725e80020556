from __future__ import annotations

import asyncio

import pytest

from mohawk.controller.tasks import gather_or_cancel, until_next
from mohawk.errors import HostError
from tests.support.nodes import run


def test_results_in_order():
    async def one(number: int) -> int:
        await asyncio.sleep(0)
        return number

    assert run(lambda: gather_or_cancel(one(number) for number in range(3))) == [0, 1, 2]


def test_the_first_failure_ends_the_others():
    ended: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def fail() -> None:
        raise HostError("no")

    with pytest.raises(HostError):
        run(lambda: gather_or_cancel([wait(), fail()]))
    assert ended == ["cancelled"]


@pytest.mark.parametrize(
    ("now", "seconds"), [(10.0, 0.5), (10.1, 0.4), (10.4999, 0.5001), (10.5, 0.5), (50000.3, 0.2), (0.0, 0.5)]
)
def test_regular_work_is_due_at_multiples_of_its_time_and_never_twice(now: float, seconds: float) -> None:
    assert until_next(0.5, now) == pytest.approx(seconds)
