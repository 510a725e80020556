"""Protects the vendor's word: only an endorsement certificate, valid now, below a root that the operator pinned."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from mohawk.crypto.endorsement import EndorsementCertificate, VendorRoots, parse_endorsement
from mohawk.crypto.tpm_primitives import EccPublic, RsaPublic
from mohawk.errors import IdentityError, UsageError
from tests.support.endorsements import NOW, Maker, der, new_key

EK = rsa.generate_private_key(65537, 2048).public_key()
ROOT = Maker()
ISSUING = Maker("Vendor issuing", ROOT)
PINNED = VendorRoots.parse(ROOT.pem + ISSUING.pem)
CLIENT = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.2")
DAY = timedelta(days=1)
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


def leaf(maker: Maker = ISSUING, **unusual: Any) -> EndorsementCertificate:
    return parse_endorsement(der(maker.issue(EK, **unusual)))


def below(*settings: dict[str, Any]) -> tuple[VendorRoots, Maker]:
    """A root and one authority for each of `settings`, all pinned; the last one signs."""
    makers = [Maker("level 0", None, settings=settings[0])]
    for number, setting in enumerate(settings[1:], 1):
        makers.append(Maker(f"level {number}", makers[-1], settings=setting))
    return VendorRoots.parse(b"".join(maker.pem for maker in makers)), makers[-1]


@pytest.mark.parametrize("common_name", ["", "worker-1"])
@pytest.mark.parametrize("maker", [ROOT, ISSUING], ids=["by the root", "by an authority below"])
def test_a_certificate_of_a_pinned_vendor(maker: Maker, common_name: str) -> None:
    certificate = leaf(maker, common_name=common_name)
    PINNED.verify(certificate, NOW)
    assert certificate.key == RsaPublic(EK.public_numbers().n, 65537)


def test_elliptic_keys() -> None:
    public = new_key().public_key()
    certificate = parse_endorsement(der(ISSUING.issue(public)))
    PINNED.verify(certificate, NOW)
    assert isinstance(certificate.key, EccPublic)


@pytest.mark.parametrize(
    "unusual",
    [
        {"purposes": ()},
        {"purposes": (CLIENT,)},
        {"is_authority": True},
        {"not_after": NOW - timedelta(seconds=1)},
        {"not_before": NOW + timedelta(seconds=1)},
        {"critical": UNKNOWN},
    ],
    ids=["no purpose", "another purpose", "an authority", "expired", "not yet valid", "unknown critical extension"],
)
def test_leaves_that_break_a_rule(unusual: dict[str, Any]) -> None:
    with pytest.raises(IdentityError):
        PINNED.verify(leaf(**unusual), NOW)


def test_vendors_that_are_not_pinned() -> None:
    for stranger in (Maker("Vendor issuing"), Maker("Vendor root"), Maker("Vendor issuing", Maker())):
        with pytest.raises(IdentityError, match="does not trust"):
            PINNED.verify(leaf(stranger), NOW)
    with pytest.raises(IdentityError, match="does not trust"):
        VendorRoots.parse(ROOT.pem).verify(leaf(), NOW)  # its issuer is not pinned, and none is taken from the node


@pytest.mark.parametrize(
    "settings",
    [
        ({}, {"not_after": NOW - DAY, "not_before": NOW - 2 * DAY}),
        ({"not_after": NOW - DAY, "not_before": NOW - 2 * DAY}, {}),
        ({"path_length": 0}, {}),
        ({}, {"path_length": 0}, {}),
        ({}, {}, {}, {}, {}, {}),
        ({}, {"critical": UNKNOWN}),
    ],
    ids=["authority expired", "root expired", "path length", "inner path length", "too deep", "critical"],
)
def test_authorities_that_break_a_rule(settings: tuple[dict[str, Any], ...]) -> None:
    roots, maker = below(*settings)
    with pytest.raises(IdentityError):
        roots.verify(leaf(maker), NOW)


def test_as_deep_as_allowed() -> None:
    roots, maker = below({"path_length": 2}, {"path_length": 1}, {"path_length": 0}, {})
    with pytest.raises(IdentityError):
        roots.verify(leaf(maker), NOW)
    roots, maker = below({"path_length": 3}, {"path_length": 1}, {"path_length": 0})
    roots.verify(leaf(maker), NOW)


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP256K1())])
def test_authorities_with_weak_keys(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
    weak = Maker("Weak", key=key)
    with pytest.raises(IdentityError, match="weak"):
        VendorRoots.parse(weak.pem).verify(leaf(weak), NOW)


def test_sha1_signatures() -> None:
    """The library signs with it no more; a certificate whose hash we call old stands for one."""
    old = parse_endorsement(der(ISSUING.issue(EK, digest=hashes.SHA224())))
    with pytest.raises(IdentityError, match="does not trust"):
        PINNED.verify(old, NOW)


def test_an_expired_authority_beside_its_renewal() -> None:
    key = new_key()
    expired = Maker("Vendor issuing", ROOT, key, {"not_before": NOW - 9 * DAY, "not_after": NOW - DAY})
    renewed = Maker("Vendor issuing", ROOT, key)
    VendorRoots.parse(ROOT.pem + expired.pem + renewed.pem).verify(leaf(renewed), NOW)


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ISSUING.pem,
        ROOT.pem * 65,
        ROOT.pem + b"\n" * (512 * 1024),
        Maker("Not an authority", settings={"is_authority": False}).pem,
        Maker("Not for signing", settings={"usage": False}).pem,
    ],
    ids=["nothing", "rubbish", "no root", "too many", "too large", "no authority", "no usage"],
)
def test_what_cannot_be_pinned(pem: bytes) -> None:
    with pytest.raises(UsageError):
        VendorRoots.parse(pem)


@pytest.mark.parametrize("data", [b"", b"0", bytes(9000), der(leaf_ := ISSUING.issue(EK))[:-1], der(leaf_) + b"0"])
def test_what_is_no_certificate(data: bytes) -> None:
    with pytest.raises(IdentityError):
        parse_endorsement(data)


def test_keys_that_no_tpm_has() -> None:
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    with pytest.raises(IdentityError, match="cannot be read"):
        parse_endorsement(der(ISSUING.issue(public)))  # type: ignore[arg-type]
