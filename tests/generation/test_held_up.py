"""Who of a crowd waits for others to end, and who only for prompts to be computed: what the estimated wait counts."""

from __future__ import annotations

from tests.generation.test_batcher import make_batcher, make_sequence, step


def test_a_crowd_that_finds_free_places_is_held_up_by_its_prompts_only() -> None:
    """Ten come at once to four places, and a step has room for two of their prompts."""
    batcher = make_batcher(*(make_sequence(number) for number in range(1, 11)), budget=6, kv_tokens=1024)
    assert (batcher.waiting, batcher.held_up) == (10, 6)
    step(batcher)
    assert (batcher.running, batcher.waiting, batcher.held_up) == (2, 8, 6)
    while batcher.running < 4:
        step(batcher)
    assert (batcher.waiting, batcher.held_up) == (6, 6)


def test_who_finds_no_room_for_keys_and_values_is_held_up_too() -> None:
    """One takes a block, and one more has to be left for it: two fit in four."""
    batcher = make_batcher(*(make_sequence(number) for number in range(1, 7)), budget=64, kv_tokens=64, maximum=16)
    assert batcher.held_up == 4
    step(batcher)
    assert (batcher.running, batcher.held_up) == (2, 4)


def test_who_begins_again_is_not_admitted_again() -> None:
    """The wait of others is told by how often somebody's turn came."""
    batcher = make_batcher(make_sequence(1), make_sequence(2))
    step(batcher)
    assert batcher.admitted == 2
    batcher.restart()
    step(batcher)
    assert (batcher.running, batcher.admitted) == (2, 2)


def test_nobody_is_held_up_where_nobody_waits() -> None:
    assert make_batcher().held_up == 0
