"""What a node goes by: numbers only rise, and what it pins already is no news, nor a quarrel."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mohawk.errors import IdentityError
from mohawk.identity.certificates import issue_root
from mohawk.identity.root_set import RootSet, sign_roots
from mohawk.identity.standing import Standing

NOW = datetime.now(UTC)
OLD, NEW = issue_root(NOW), issue_root(NOW)
BOTH = (OLD.certificate, NEW.certificate)
FIRST, SECOND = sign_roots(1, BOTH, (OLD, NEW)), sign_roots(2, (NEW.certificate,), (NEW,))


def test_a_node_that_was_named_after_a_rotation_knows_the_set_that_it_is_shown() -> None:
    """As a restarted controller, and a worker that joined or renewed after the new root was introduced."""
    standing = Standing(RootSet(1, BOTH), "mesh.example")
    assert not standing.learn_roots(FIRST, NOW)
    assert standing.roots_envelope == FIRST
    assert standing.learn_roots(SECOND, NOW)
    assert standing.roots == RootSet(2, (NEW.certificate,))


def test_another_set_of_the_same_number_is_refused() -> None:
    standing = Standing(RootSet(1, BOTH), "mesh.example")
    with pytest.raises(IdentityError, match="number"):
        standing.learn_roots(sign_roots(1, (OLD.certificate,), (OLD,)), NOW)
    assert standing.learn_roots(FIRST, NOW) is False
    other = issue_root(NOW)
    with pytest.raises(IdentityError, match="newer"):
        standing.learn_roots(sign_roots(1, (OLD.certificate, other.certificate), (OLD, other)), NOW)


def test_an_older_set_does_not_come_back() -> None:
    standing = Standing(RootSet(2, (NEW.certificate,)), "mesh.example")
    for envelope in (FIRST, sign_roots(1, (NEW.certificate,), (NEW,))):
        with pytest.raises(IdentityError):
            standing.learn_roots(envelope, NOW)


def test_watchers_hear_of_each_change_until_they_stop() -> None:
    standing, heard = Standing(RootSet(0, (OLD.certificate,)), "mesh.example"), []
    stop = standing.watch(lambda: heard.append(standing.roots.number))
    standing.learn_roots(FIRST, NOW)
    standing.learn_roots(FIRST, NOW)
    stop()
    standing.learn_roots(SECOND, NOW)
    assert heard == [1]
