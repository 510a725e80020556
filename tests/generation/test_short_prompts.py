"""Whoever has little to be read, while somebody else's long prompt is."""

from __future__ import annotations

import pytest

from mohawk.generation.batcher import Batcher
from mohawk.generation.session import Caller, Priority
from mohawk.nouns.model import BLOCK_TOKENS
from tests.generation.test_batcher import ANYBODY, make_batcher, make_sequence, shape, step

Shape = list[tuple[int, int, int, bool]]


@pytest.fixture
def batcher() -> Batcher:
    """Three read their answers."""
    readers = [make_sequence(number, prompt=1, new=9) for number in (1, 2, 3)]
    batcher = make_batcher(*readers, budget=64, kv_tokens=512, maximum=8)
    step(batcher)
    return batcher


def prompts(batcher: Batcher) -> Shape:
    """What the next step reads of prompts, where that may be twelve tokens."""
    batcher.pace.decode, batcher.pace.prompt_token = 0.2, 0.01
    return shape(step(batcher)[0])[3:]


def test_a_short_prompt_does_not_wait_until_a_long_one_is_read(batcher: Batcher) -> None:
    batcher.add(make_sequence(4, prompt=60))
    assert prompts(batcher) == [(4, 0, 12, False)]
    batcher.add(make_sequence(5, prompt=8))
    assert prompts(batcher) == [(5, 0, 6, False), (4, 12, 6, False)]
    assert prompts(batcher) == [(5, 6, 2, True), (4, 18, 10, False)]


@pytest.mark.parametrize(("caller", "prompt"), [(Caller(priority=Priority.LOW), 8), (ANYBODY, 60)])
def test_one_that_is_as_long_or_less_urgent_waits(batcher: Batcher, caller: Caller, prompt: int) -> None:
    batcher.add(make_sequence(4, prompt=60))
    prompts(batcher)
    batcher.add(make_sequence(5, prompt=prompt, caller=caller))
    assert prompts(batcher) == [(4, 12, 12, False)]


def test_a_long_prompt_is_read_though_short_ones_come_for_ever(batcher: Batcher) -> None:
    batcher.add(make_sequence(4, prompt=60))
    prompts(batcher)
    for number in range(5, 9):
        batcher.add(make_sequence(number, prompt=6, new=1))
        assert prompts(batcher)[-1][::2] == (4, 6)


def test_one_that_was_interrupted_and_finds_no_room_stops_no_piece_from_being_small() -> None:
    """It waits for others to end, however little or much each step reads."""
    readers = [make_sequence(number, prompt=15, new=70) for number in (1, 2, 3)]
    batcher = make_batcher(*readers, budget=600, kv_tokens=17 * BLOCK_TOKENS)
    for _ in range(2):
        step(batcher)
    assert batcher.running == 3
    batcher.restart()
    for _ in range(2):
        step(batcher)
    assert (batcher.running, batcher.waiting) == (2, 1)
    assert batcher._spares_readers()
