"""Which of two neighbours that lost each other goes."""

from __future__ import annotations

from mohawk.planning.links import MEMORY_SECONDS, BrokenLinks, choose_end


def links(*pairs: tuple[str, str]) -> BrokenLinks:
    broken = BrokenLinks()
    for pair in pairs:
        broken.remember(*pair, 0.0)
    return broken


def test_where_both_complain_the_one_behind_goes() -> None:
    assert choose_end("a", "b", {"a", "b"}, links(("a", "b")), 0.0) == "b"


def test_where_one_complains_it_goes() -> None:
    assert choose_end("a", "b", {"a"}, links(("a", "b")), 0.0) == "a"
    assert choose_end("a", "b", {"b"}, links(("a", "b")), 0.0) == "b"


def test_who_lost_more_neighbours_goes_whoever_complains() -> None:
    assert choose_end("a", "b", {"b"}, links(("a", "b"), ("a", "c")), 0.0) == "a"
    assert choose_end("a", "b", {"a"}, links(("a", "b"), ("c", "b")), 0.0) == "b"


def test_the_same_neighbour_lost_again_counts_once_and_is_forgotten_in_time() -> None:
    broken = links(("a", "b"), ("b", "a"))
    assert broken.count("a", 1.0) == 1
    assert broken.is_broken("b", "a", MEMORY_SECONDS - 1.0)
    assert not broken.is_broken("a", "b", MEMORY_SECONDS)
    assert broken.count("a", MEMORY_SECONDS) == 0
