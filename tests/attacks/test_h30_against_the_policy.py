"""H30: a chain that keeps all of our built-in rules, but not the operator's stricter certificate policy: an issuing
authority of the shortest life that we allow, where requirements.yaml asks for two years.

Expected: refused by both ends at the handshake, with a reason of its own, and not issued under in the first place.

Defence: channel/tls.py:TlsConnection._settle (the policy asked after each handshake), host/authority.py:AuthorityFolder.
_check_policy (and at issue); removed, requirements.yaml is a text that nobody reads.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mohawk.channel.profile import NodeContext
from mohawk.channel.tls import TlsConnection
from mohawk.errors import MohawkError, PolicyError, UsageError
from mohawk.host.authority import POLICY, AuthorityFolder
from mohawk.host.rotation import rotate_issuing
from mohawk.identity.names import IdentityRefusedError, Reason, Role
from mohawk.identity.policy import BUILT_IN, CertificatePolicy, encode_policy
from tests.support.audit import Heard
from tests.support.tls import Mesh, accept_all, utc_now

STRICT = CertificatePolicy(minimum_validity_days=730)


def shake(server: NodeContext, client: NodeContext) -> tuple[MohawkError | None, MohawkError | None]:
    """What each end refused the other for."""
    ends = [TlsConnection(server, accept_all, is_server=True), TlsConnection(client, accept_all, is_server=False)]
    errors: list[MohawkError | None] = [None, None]
    for _ in range(8):
        for index, end in enumerate(ends):
            try:
                end.handshake(utc_now())
            except MohawkError as error:
                errors[index] = errors[index] or error
            if errors[1 - index] is None and (data := end.outgoing()):
                ends[1 - index].receive(data)
    return errors[0], errors[1]


def context(mesh: Mesh, role: Role, policy: CertificatePolicy) -> NodeContext:
    return NodeContext(mesh.credentials(role, "n1"), standing=mesh.standing(), policy=policy)


@pytest.mark.parametrize(("server", "client"), [(STRICT, BUILT_IN), (BUILT_IN, STRICT)])
def test_either_end_refuses_at_the_handshake(server: CertificatePolicy, client: CertificatePolicy) -> None:
    mesh = Mesh()
    errors = shake(context(mesh, Role.WORKER, server), context(mesh, Role.CONTROLLER, client))
    error = errors[0] if server is STRICT else errors[1]
    assert isinstance(error, IdentityRefusedError)
    assert error.reason is Reason.POLICY
    assert "minimum_validity_days" in error.hint


def test_both_pass_under_the_policy_that_is_built_in() -> None:
    mesh = Mesh()
    assert shake(context(mesh, Role.WORKER, BUILT_IN), context(mesh, Role.CONTROLLER, BUILT_IN)) == (None, None)


def test_a_key_exchange_against_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The profile lets one group in; should another ever be let in there, the policy has its own say."""
    monkeypatch.setattr("mohawk.identity.policy._KEMS", {})
    mesh = Mesh()
    errors = shake(context(mesh, Role.WORKER, BUILT_IN), context(mesh, Role.CONTROLLER, BUILT_IN))
    reasons = {error.reason for error in errors if isinstance(error, IdentityRefusedError)}
    assert reasons == {Reason.POLICY}


# ---- at issue -------------------------------------------------------------------------------------------------------


def strict_authority(folder: Path, *, before: bool) -> AuthorityFolder:
    """An authority whose operator asked for two years `before` it was made, or after."""
    folder.mkdir(mode=0o700)
    authority = AuthorityFolder(folder)
    if before:
        (folder / POLICY).write_bytes(encode_policy(STRICT))
    authority.initialise("mesh.example", utc_now())
    (folder / POLICY).write_bytes(encode_policy(STRICT))
    return authority


def test_an_authority_that_is_made_under_a_policy_keeps_it(tmp_path: Path) -> None:
    authority = strict_authority(tmp_path / "pki", before=True)
    credentials = authority.issue_node(Role.WORKER, "w1", utc_now())
    STRICT.check_chain((*credentials.chain, credentials.root))


def test_nothing_is_issued_under_an_authority_that_does_not(tmp_path: Path) -> None:
    authority = strict_authority(tmp_path / "pki", before=False)
    with pytest.raises(PolicyError, match="lives too short") as refusal:
        authority.issue_node(Role.WORKER, "w1", utc_now())
    assert "mohawk pki rotate issuing" in refusal.value.hint
    with pytest.raises(PolicyError):
        authority.issue_api(("localhost",), utc_now())
    rotate_issuing(authority, utc_now(), Heard().record)
    STRICT.check_authority(authority.issuing().certificate)
    authority.issue_node(Role.WORKER, "w1", utc_now())


def test_a_policy_that_weakens_stops_the_start(tmp_path: Path) -> None:
    authority = strict_authority(tmp_path / "pki", before=True)
    (authority.folder / POLICY).write_bytes(encode_policy(BUILT_IN).replace(b"365", b"30"))
    with pytest.raises(UsageError, match="minimum_validity_days"):
        authority.policy()
    with pytest.raises(UsageError):
        authority.issue_node(Role.WORKER, "w1", utc_now())
