"""Which roots a node pins changes only with the word of a root that it pins already."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mohawk.errors import IdentityError, UsageError
from mohawk.identity.certificates import Authority, issue_issuing, issue_root
from mohawk.identity.root_set import RootSet, accept_roots, sign_roots
from tests.support.tls import utc_now

NOW = utc_now()
OLD, NEW, STRANGER = (issue_root(NOW) for _ in range(3))
TRUSTED = RootSet(1, (OLD.certificate,))


def roots(*authorities: Authority) -> tuple:
    return tuple(one.certificate for one in authorities)


def test_old_to_both_to_new() -> None:
    both = accept_roots(sign_roots(2, roots(OLD, NEW), (OLD, NEW)), TRUSTED, NOW)
    assert both == RootSet(2, roots(OLD, NEW))
    assert accept_roots(sign_roots(3, roots(NEW), (NEW,)), both, NOW) == RootSet(3, roots(NEW))


@pytest.mark.parametrize(
    ("number", "wanted", "signers", "complaint"),
    [
        (2, (STRANGER,), (STRANGER,), "no root of ours"),
        (2, (OLD,), (STRANGER,), "neither ours"),
        (2, (OLD, NEW), (OLD,), "did not sign"),
        (1, (OLD,), (OLD,), "not newer"),
        (2, (OLD, NEW), (), "no root of ours"),
    ],
    ids=["signed by a stranger", "signed by a key not named", "the new root did not sign", "replayed", "unsigned"],
)
def test_any_other_change_is_refused(number: int, wanted: tuple, signers: tuple, complaint: str) -> None:
    with pytest.raises(IdentityError, match=complaint):
        accept_roots(sign_roots(number, roots(*wanted), signers), TRUSTED, NOW)


def test_an_issuing_authority_is_no_root() -> None:
    issuing = issue_issuing(OLD, NOW)
    with pytest.raises(IdentityError, match="no root of ours"):
        accept_roots(sign_roots(2, roots(OLD, issuing), (OLD, issuing)), TRUSTED, NOW)


def test_an_expired_root_is_refused() -> None:
    with pytest.raises(IdentityError, match="expired"):
        accept_roots(sign_roots(2, roots(OLD, NEW), (OLD, NEW)), TRUSTED, NOW + timedelta(days=3700))


def test_a_set_holds_one_to_four_different_roots() -> None:
    for wrong in ((), roots(OLD, OLD)):
        with pytest.raises(UsageError):
            RootSet(1, wrong)


ENVELOPE = sign_roots(2, roots(OLD, NEW), (OLD, NEW))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=3))
def test_a_changed_envelope_is_refused(position: int, patch: bytes) -> None:
    data = bytearray(ENVELOPE)
    position %= len(data) - 3
    data[position : position + len(patch)] = patch
    if bytes(data) != ENVELOPE:
        with pytest.raises(IdentityError):
            accept_roots(bytes(data), TRUSTED, NOW)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    with contextlib.suppress(IdentityError):
        accept_roots(data, TRUSTED, NOW)
