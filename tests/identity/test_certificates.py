"""What we issue keeps every rule; what breaks one is refused with its reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509 as lib
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from mohawk.crypto import x509
from mohawk.crypto.signing import SigningKey
from mohawk.errors import IdentityError, UsageError
from mohawk.identity.certificates import (
    Authority,
    PeerIdentity,
    check_peer,
    expect,
    issue_api_leaf,
    issue_issuing,
    issue_leaf,
    issue_root,
)
from mohawk.identity.names import IdentityRefusedError, Reason, Role
from tests.support.tls import AUTHORITY_USAGES, DOMAIN, Forgery, Mesh, facts, utc_now

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return Mesh()


def judge(mesh: Mesh, *chain: x509.Certificate, now: datetime | None = None) -> PeerIdentity:
    return check_peer(chain, now or utc_now(), frozenset({mesh.root.certificate.pin}), DOMAIN)


def reason(mesh: Mesh, *chain: x509.Certificate, now: datetime | None = None) -> Reason:
    with pytest.raises(IdentityRefusedError) as caught:
        judge(mesh, *chain, now=now)
    return caught.value.reason


def forged(mesh: Mesh, forgery: Forgery) -> tuple[x509.Certificate, ...]:
    return (*facts(*forgery.by(mesh.issuing)), mesh.root.certificate)


def test_an_issued_leaf_proves_its_name(mesh: Mesh) -> None:
    leaf = issue_leaf(mesh.issuing, mesh.name(), utc_now())
    peer = judge(mesh, *leaf.chain, mesh.root.certificate)
    assert peer.name == mesh.name()
    assert peer.spki == leaf.key.spki()
    assert peer.leaf_digest == leaf.chain[0].digest


def test_what_we_issue_lives_as_decided(mesh: Mesh) -> None:
    now = datetime(2026, 1, 1, 12, 0, 0, 999, tzinfo=UTC)
    root = issue_root(now)
    issuing = issue_issuing(root, now)
    leaf = issue_leaf(issuing, mesh.name(), now).chain[0]
    assert root.certificate.not_after == datetime(2035, 12, 31, tzinfo=UTC)
    assert (root.certificate.path_length, issuing.certificate.path_length) == (1, 0)
    assert leaf.not_before == datetime(2026, 1, 1, 11, 55, tzinfo=UTC)
    assert leaf.not_after == datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
    assert leaf.key_usage == {"digital_signature"}
    assert leaf.authority_key_id == issuing.certificate.key_id
    assert leaf.serial.bit_length() > 100


def test_serials_do_not_repeat(mesh: Mesh) -> None:
    assert len({issue_leaf(mesh.issuing, mesh.name(), utc_now()).chain[0].serial for _ in range(20)}) == 20


@pytest.mark.parametrize("days", [0, -1, 8, 365])
def test_a_long_lived_leaf_is_not_issued(mesh: Mesh, days: int) -> None:
    with pytest.raises(UsageError):
        issue_leaf(mesh.issuing, mesh.name(), utc_now(), timedelta(days=days))


def test_an_issuing_authority_beyond_1095_days_or_its_root_is_not_issued(mesh: Mesh) -> None:
    with pytest.raises(UsageError):
        issue_issuing(mesh.root, utc_now(), timedelta(days=1096))
    with pytest.raises(UsageError, match="outlive"):
        issue_issuing(mesh.root, datetime(2035, 6, 1, tzinfo=UTC))


def test_each_authority_signs_only_its_own_kind(mesh: Mesh) -> None:
    with pytest.raises(UsageError):
        issue_leaf(mesh.root, mesh.name(), utc_now())
    with pytest.raises(UsageError):
        issue_issuing(mesh.issuing, utc_now())


def test_an_api_leaf_names_hosts_and_can_never_act_as_a_node(mesh: Mesh) -> None:
    leaf = issue_api_leaf(mesh.issuing, ("localhost", "127.0.0.1", "::1"), utc_now())
    assert leaf.chain[0].hosts == ("localhost", "127.0.0.1", "::1")
    assert reason(mesh, *leaf.chain, mesh.root.certificate) is Reason.EXTENDED_KEY_USAGE
    with pytest.raises(UsageError):
        issue_api_leaf(mesh.issuing, (), utc_now())
    with pytest.raises(UsageError):
        issue_api_leaf(mesh.issuing, ("bücher.example",), utc_now())


def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize(
    ("forge", "expected"),
    [
        (lambda: Forgery(end=timedelta(minutes=-1)), Reason.EXPIRED),
        (lambda: Forgery(start=HOUR), Reason.NOT_YET_VALID),
        (lambda: Forgery(end=timedelta(days=8)), Reason.LIFETIME),
        (lambda: Forgery(purposes=()), Reason.EXTENDED_KEY_USAGE),
        (lambda: Forgery(purposes=(ExtendedKeyUsageOID.SERVER_AUTH,)), Reason.EXTENDED_KEY_USAGE),
        (lambda: Forgery(purposes=(ExtendedKeyUsageOID.CLIENT_AUTH,)), Reason.EXTENDED_KEY_USAGE),
        (
            lambda: Forgery(purposes=(*Forgery().purposes, ExtendedKeyUsageOID.CODE_SIGNING)),
            Reason.EXTENDED_KEY_USAGE,
        ),
        (lambda: Forgery(purposes=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)), Reason.EXTENDED_KEY_USAGE),
        (lambda: Forgery(usages=("digital_signature", "key_cert_sign")), Reason.KEY_USAGE),
        (lambda: Forgery(usages=("digital_signature", "key_agreement")), Reason.KEY_USAGE),
        (lambda: Forgery(critical_usage=False), Reason.KEY_USAGE),
        (lambda: Forgery(is_authority=True, usages=("digital_signature",)), Reason.KEY_USAGE),
        (lambda: Forgery(uris=()), Reason.ALTERNATIVE_NAMES),
        (lambda: Forgery(uris=(f"spiffe://{DOMAIN}/worker/w1", f"spiffe://{DOMAIN}/controller/c1")), Reason.ALTERNATIVE_NAMES),
        (lambda: Forgery(hosts=("localhost",)), Reason.ALTERNATIVE_NAMES),
        (lambda: Forgery(uris=(f"spiffe://{DOMAIN}/",)), Reason.MALFORMED_NAME),
        (lambda: Forgery(uris=("spiffe://other.example/worker/w1",)), Reason.FOREIGN_DOMAIN),
        (lambda: Forgery(key=ec.generate_private_key(ec.SECP256R1())), Reason.WEAK_KEY),
        (lambda: Forgery(key=ec.generate_private_key(ec.SECP521R1())), Reason.WEAK_KEY),
        (lambda: Forgery(key=rsa_key()), Reason.WEAK_KEY),
        (lambda: Forgery(key=ed25519.Ed25519PrivateKey.generate()), Reason.WEAK_KEY),
        (lambda: Forgery(digest=hashes.SHA256()), Reason.WEAK_KEY),
        (lambda: Forgery(extra=lib.PolicyConstraints(0, None)), Reason.UNREADABLE),
    ],
)  # fmt: skip
def test_a_leaf_that_breaks_a_rule_is_refused_with_its_reason(
    mesh: Mesh, forge: Callable[[], Forgery], expected: Reason
) -> None:
    assert reason(mesh, *forged(mesh, forge())) is expected


def test_a_foreign_root_is_refused_even_with_our_names(mesh: Mesh) -> None:
    foreign = Mesh()
    leaf = issue_leaf(foreign.issuing, mesh.name(), utc_now())
    assert reason(mesh, *leaf.chain, foreign.root.certificate) is Reason.UNTRUSTED_ROOT
    assert reason(mesh, *leaf.chain, mesh.root.certificate) is Reason.BROKEN_CHAIN


def test_a_chain_is_three_certificates(mesh: Mesh) -> None:
    leaf = issue_leaf(mesh.issuing, mesh.name(), utc_now())
    root = mesh.root.certificate
    assert reason(mesh) is Reason.MISSING
    assert reason(mesh, leaf.chain[0]) is Reason.BROKEN_CHAIN
    assert reason(mesh, leaf.chain[0], root) is Reason.BROKEN_CHAIN
    assert reason(mesh, *leaf.chain, leaf.chain[1], root) is Reason.BROKEN_CHAIN


def test_an_issuing_authority_that_could_sign_another_is_refused(mesh: Mesh) -> None:
    """Path length 1, or none at all, where the leaf's issuer must have 0."""
    for path in (1, None):
        forgery = Forgery(uris=(), purposes=(), is_authority=True, path_length=path, usages=AUTHORITY_USAGES)
        middle = forgery.sign(mesh.root.certificate.native, mesh.root.key.private)
        assert isinstance(forgery.key, ec.EllipticCurvePrivateKey)
        authority = Authority(facts(middle)[0], SigningKey(forgery.key), mesh.root.certificate)
        chain = issue_leaf(authority, mesh.name(), utc_now()).chain
        assert reason(mesh, *chain, mesh.root.certificate) is Reason.AUTHORITY


def test_a_leaf_in_an_authoritys_place_is_refused(mesh: Mesh) -> None:
    middle = issue_leaf(mesh.issuing, mesh.name(), utc_now())
    below = Forgery().sign(middle.chain[0].native, middle.key.private)
    assert reason(mesh, *facts(below), middle.chain[0], mesh.root.certificate) is Reason.BROKEN_CHAIN


def test_every_certificate_of_the_chain_must_be_valid_now(mesh: Mesh) -> None:
    leaf = issue_leaf(mesh.issuing, mesh.name(), utc_now())
    chain = (*leaf.chain, mesh.root.certificate)
    assert reason(mesh, *chain, now=utc_now() + timedelta(days=400)) is Reason.EXPIRED
    assert reason(mesh, *chain, now=utc_now() - timedelta(days=1)) is Reason.NOT_YET_VALID


def test_expect_compares_role_and_name(mesh: Mesh) -> None:
    leaf = issue_leaf(mesh.issuing, mesh.name(Role.WORKER, "w1"), utc_now())
    peer = judge(mesh, *leaf.chain, mesh.root.certificate)
    assert expect(peer, {Role.WORKER, Role.CONTROLLER}, "w1") is peer
    with pytest.raises(IdentityRefusedError) as caught:
        expect(peer, {Role.CONTROLLER})
    assert caught.value.reason is Reason.WRONG_ROLE
    with pytest.raises(IdentityRefusedError) as caught:
        expect(peer, {Role.WORKER}, "w2")
    assert caught.value.reason is Reason.WRONG_NAME


def negative_serial(mesh: Mesh) -> bytes:
    """The DER of a leaf whose serial's sign is flipped. (The signature no longer fits: parsing comes first.)"""
    leaf = issue_leaf(mesh.issuing, mesh.name(), utc_now()).chain[0]
    serial = leaf.serial.to_bytes((leaf.serial.bit_length() + 8) // 8, "big")
    assert leaf.der.count(serial) == 1
    return leaf.der.replace(serial, bytes([0x80, *serial[1:]]))


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")  # stops nothing in production
def test_a_serial_that_is_not_positive_is_refused_by_every_parser(mesh: Mesh) -> None:
    data = negative_serial(mesh)
    native = lib.load_der_x509_certificate(data)
    for parse in (
        lambda: x509.parse_der(data),
        lambda: x509.parse_pem(native.public_bytes(Encoding.PEM)),
        lambda: x509.from_native(native),
    ):
        with pytest.raises(IdentityError, match="cannot be read"):
            parse()


def test_a_warning_of_the_library_is_a_refusal_where_warnings_are_errors(mesh: Mesh) -> None:
    with pytest.raises(IdentityError, match="cannot be read"):
        x509.parse_der(negative_serial(mesh))
