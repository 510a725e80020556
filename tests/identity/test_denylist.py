"""A deny-list is believed when the domain's own key signed it, when it is new enough, and not a moment longer."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mohawk.errors import IdentityError, UsageError
from mohawk.identity.certificates import Leaf, issue_issuing, issue_leaf
from mohawk.identity.denylist import (
    AHEAD,
    LIFETIME,
    MAXIMUM_LIST,
    Denial,
    DenyList,
    accept_deny_list,
    issue_deny_list,
    issue_deny_list_signer,
)
from mohawk.identity.names import IdentityRefusedError, Reason
from tests.support.tls import DOMAIN, Mesh, utc_now

MESH = Mesh()
NOW = utc_now().replace(microsecond=0)
SIGNER = issue_deny_list_signer(MESH.issuing, DOMAIN, NOW)
W1 = str(MESH.name())


def accept(envelope: bytes, *, highest: int = 0, after: timedelta = timedelta(0), mesh: Mesh = MESH) -> DenyList:
    return accept_deny_list(
        envelope, roots=(mesh.root.certificate,), domain=mesh.domain, highest=highest, now=NOW + after
    )


def test_a_list_survives_its_envelope() -> None:
    denials = (Denial(W1, NOW, "stolen"), Denial("serial:1a", NOW))
    assert accept(issue_deny_list(SIGNER, 7, denials, NOW)) == DenyList(7, NOW, denials)


def test_a_denied_name_and_a_denied_serial_are_refused() -> None:
    peer = MESH.credentials().check(utc_now())
    for subject in (str(peer.name), f"serial:{peer.serial:x}"):
        with pytest.raises(IdentityRefusedError) as refusal:
            DenyList(1, NOW, (Denial(subject, NOW),)).refuse(peer)
        assert refusal.value.reason is Reason.REVOKED
    DenyList(1, NOW, (Denial(f"{W1}0", NOW), Denial("serial:1", NOW))).refuse(peer)


def test_a_list_is_void_after_ten_minutes() -> None:
    found = accept(issue_deny_list(SIGNER, 1, (), NOW))
    found.check_fresh(NOW + LIFETIME)
    with pytest.raises(IdentityRefusedError) as refusal:
        found.check_fresh(NOW + LIFETIME + timedelta(seconds=1))
    assert refusal.value.reason is Reason.STALE


def test_an_older_list_than_one_seen_is_refused() -> None:
    envelope = issue_deny_list(SIGNER, 4, (), NOW)
    accept(envelope, highest=4)
    with pytest.raises(IdentityError, match="older"):
        accept(envelope, highest=5)


def test_a_list_from_the_future_is_refused() -> None:
    accept(issue_deny_list(SIGNER, 1, (), NOW + AHEAD))
    with pytest.raises(IdentityError, match="future"):
        accept(issue_deny_list(SIGNER, 1, (), NOW + AHEAD + timedelta(seconds=1)))


def other_signers() -> dict[str, Leaf]:
    other = Mesh()
    root_as_leaf = Leaf((MESH.issuing.certificate, MESH.root.certificate), MESH.issuing.key)
    return {
        "a node of the domain": issue_leaf(MESH.issuing, MESH.name(), NOW),
        "another domain's name": issue_deny_list_signer(MESH.issuing, "evil.example", NOW),
        "another authority": issue_deny_list_signer(other.issuing, DOMAIN, NOW),
        "the issuing authority itself": root_as_leaf,
        "a key that is not the certificate's": Leaf(SIGNER.chain, MESH.issuing.key),
    }


@pytest.mark.parametrize("signer", other_signers().values(), ids=other_signers().keys())
def test_a_list_signed_by_anybody_else_is_refused(signer: Leaf) -> None:
    envelope = issue_deny_list(signer, 9, (), NOW)
    with pytest.raises(IdentityError):
        accept(envelope)


def test_an_expired_signer_is_refused() -> None:
    with pytest.raises(IdentityRefusedError) as refusal:
        accept(issue_deny_list(SIGNER, 1, (), NOW), after=timedelta(days=100))
    assert refusal.value.reason is Reason.EXPIRED


def test_a_signer_of_the_next_issuing_authority_is_believed() -> None:
    issuing = issue_issuing(MESH.root, NOW)
    accept(issue_deny_list(issue_deny_list_signer(issuing, DOMAIN, NOW), 2, (), NOW))


def test_a_list_that_does_not_fit_a_greeting_is_not_issued() -> None:
    many = [Denial(f"spiffe://{DOMAIN}/worker/w{number}", NOW, "x" * 100) for number in range(900)]
    with pytest.raises(UsageError, match="too many"):
        issue_deny_list(SIGNER, 1, many, NOW)


@pytest.mark.parametrize(
    "subject", ["w1", "serial:", "serial:0a", "serial:1A", "spiffe://x/worker/W", "serial:" + "1" * 41]
)
def test_an_entry_that_could_never_match_is_refused(subject: str) -> None:
    with pytest.raises(UsageError):
        Denial(subject, NOW)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=3))
def test_a_changed_envelope_is_refused(position: int, patch: bytes) -> None:
    data = bytearray(ENVELOPE)
    position %= len(data) - 3
    data[position : position + len(patch)] = patch
    if bytes(data) != ENVELOPE:
        with pytest.raises(IdentityError):
            accept(bytes(data))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300) | st.just(b"[" * 40_000) | st.just(b"0" * (MAXIMUM_LIST + 1)))
def test_any_bytes_are_refused(data: bytes) -> None:
    with contextlib.suppress(IdentityError):
        accept(data)


ENVELOPE = issue_deny_list(SIGNER, 7, (Denial(W1, NOW),), NOW)
