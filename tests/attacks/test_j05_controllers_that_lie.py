"""J05: a controller that was taken over answers a join request with something else than the token promises: a certificate
of another name, of another key or of another authority, a root of its own, a publisher of its own, a revoked name, a
certificate policy that weakens or that its own authorities do not keep.

Expected: the joiner refuses the whole answer and writes nothing.

Defence: worker/joining.py:accept_grant; removed, whoever holds one controller decides which roots a new machine trusts,
and whose models it runs, beyond that controller's end.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mohawk.contract.joining import parse_join_grant
from mohawk.crypto.signing import PublisherKey, SigningKey
from mohawk.errors import IdentityError, MohawkError
from mohawk.host.authority import AuthorityFolder
from mohawk.host.revocations import Revocations
from mohawk.host.rotation import activate_root, introduce_root, retire_root
from mohawk.identity.certificates import issue_root
from mohawk.identity.join_token import JoinToken
from mohawk.identity.names import NodeName
from mohawk.identity.policy import CertificatePolicy, encode_policy
from mohawk.identity.root_set import sign_roots
from mohawk.worker.joining import Joined, accept_grant
from tests.support.audit import Heard
from tests.support.joining import JoinSite
from tests.support.tls import utc_now

KEY = SigningKey.generate()


class Desk:
    """A joiner's view: its token, an honest grant for `KEY`, and who gave it."""

    def __init__(self, folder: Path) -> None:
        self.site = JoinSite(folder)
        self.authority: AuthorityFolder = self.site.authority
        self.site.port = 8002
        self.token: JoinToken = self.site.token()
        credentials = self.site.context.credentials
        self.giver = (credentials.check(utc_now()), credentials.root)
        chain = self.authority.issue_for(self.token.name, KEY.spki(), utc_now())
        self.grant = parse_join_grant(self.site.desk()._grant(chain))

    def accept(self, **changes: object) -> Joined:
        return accept_grant(replace(self.grant, **changes), self.token, KEY, self.giver, utc_now())  # type: ignore[arg-type]

    def leaf_for(self, name: str, key: SigningKey = KEY) -> bytes:
        return self.authority.issue_for(NodeName.parse(name), key.spki(), utc_now())[0].der


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "pki")


def test_the_honest_answer_is_taken(desk: Desk) -> None:
    assert desk.accept().identity.credentials.name == desk.token.name


@pytest.mark.parametrize(
    "name", ["spiffe://mesh.example/worker/w2", "spiffe://mesh.example/controller/w1", "spiffe://x.example/worker/w1"]
)
def test_another_name(desk: Desk, name: str) -> None:
    with pytest.raises(IdentityError):
        desk.accept(leaf=desk.leaf_for(name))


def test_another_key(desk: Desk) -> None:
    with pytest.raises(IdentityError, match="key"):
        desk.accept(leaf=desk.leaf_for(str(desk.token.name), SigningKey.generate()))


def test_another_authority(desk: Desk, tmp_path: Path) -> None:
    other = Desk(tmp_path / "other")
    with pytest.raises(IdentityError):
        desk.accept(leaf=other.grant.leaf, issuing=other.grant.issuing)
    with pytest.raises(IdentityError):
        desk.accept(issuing=other.grant.issuing)


def test_a_root_of_its_own(desk: Desk) -> None:
    """It holds the issuing key, not the root's."""
    ours, theirs = desk.giver[1], issue_root(utc_now())
    for roots, signers in ((((theirs.certificate,)), (theirs,)), ((ours, theirs.certificate), (theirs,))):
        with pytest.raises(IdentityError, match="no root of ours signed"):
            desk.accept(roots=sign_roots(1, tuple(roots), signers))


def test_an_older_root_set_that_lacks_the_pinned_root(desk: Desk) -> None:
    """After a rotation: the token pins the new root, the envelope is of before."""
    introduce_root(desk.authority, utc_now(), Heard().record)
    both = desk.authority.roots_envelope()
    activate_root(desk.authority, Heard().record)
    retire_root(desk.authority, Heard().record)
    assert desk.accept(roots=both).standing.roots.number == 1
    with pytest.raises(IdentityError):
        desk.accept(roots=desk.authority.roots_envelope())  # our pin is the old root's, which is not in it


@pytest.mark.parametrize("both", [True, False])
def test_a_publisher_of_its_own(desk: Desk, both: bool) -> None:
    """No root signs who the publisher is; a machine that believes another one loads another one's models for ever."""
    theirs = PublisherKey.generate().pins()
    pins = theirs if both else replace(theirs, p384=desk.grant.publisher.p384)
    with pytest.raises(IdentityError, match="publisher"):
        desk.accept(publisher=pins)


def test_our_own_revocation(desk: Desk) -> None:
    Revocations(desk.authority).deny(str(desk.token.name), "stolen", utc_now())
    with pytest.raises(IdentityError, match="revoked"):
        desk.accept(deny_list=Revocations(desk.authority).issue(utc_now()))


@pytest.mark.parametrize("deny_list", [b"", b"{}", b"x" * 1000])
def test_no_deny_list(desk: Desk, deny_list: bytes) -> None:
    with pytest.raises(IdentityError, match="deny-list"):
        desk.accept(deny_list=deny_list)


def test_a_policy_that_weakens(desk: Desk) -> None:
    weak = desk.grant.policy.replace(b"365", b"1")
    with pytest.raises(IdentityError, match="policy"):
        desk.accept(policy=weak)


def test_a_policy_that_its_own_authority_does_not_keep(desk: Desk) -> None:
    strict = encode_policy(CertificatePolicy(minimum_validity_days=730))
    with pytest.raises(IdentityError, match="lives too short"):
        desk.accept(policy=strict)


@pytest.mark.parametrize("change", [{"leaf": b""}, {"leaf": b"\x30\x03"}, {"policy": b"\xff"}, {"roots": b"{}"}])
def test_rubbish(desk: Desk, change: dict[str, bytes]) -> None:
    with pytest.raises(MohawkError):
        desk.accept(**change)
