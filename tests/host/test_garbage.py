"""What a process starts with is searched for garbage once, and garbage is not kept."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from mohawk.host.garbage import spare_what_stays


class Node:
    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_what_stays_is_searched_no_more() -> None:
    before = len(gc.get_objects())
    spare_what_stays()
    assert len(gc.get_objects()) < before / 10
    assert gc.get_freeze_count() > before / 2


def test_garbage_of_before_is_freed_and_of_later_too() -> None:
    before = weakref.ref(Node())
    spare_what_stays()
    later = weakref.ref(Node())
    assert before() is None
    gc.collect()
    assert later() is None
