"""Endorsement certificates: a TPM vendor's word that a key was born in one of its chips (TCG EK Credential Profile;
docs/spec/attestation.md 2).

Rules, and the attack each stops:

1. Every certificate on the way to a root was pinned by the operator; none comes from the node. A chain of the node's
   choice would be a parser and a path builder for an attacker to play with.
2. The leaf must say that it is an endorsement certificate (2.23.133.8.1): vendors' roots sign other things too, and
   none of those makes a TPM.
3. Each certificate is valid now, each authority is one (constraints, usage, path length), no signature is SHA-1 and no
   key weak: a vendor's ten-year-old mistakes are not ours.
4. Critical extensions that we do not know are refused (RFC 5280 4.2). The alternative name, critical because the
   subject may be empty, names maker and model: we compare the key instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtensionOID

from mohawk.crypto.tpm_primitives import EccPublic, RsaPublic, TpmCurve, TpmPublicKey
from mohawk.errors import IdentityError, UsageError

_Kind = TypeVar("_Kind", bound=x509.ExtensionType)

MAXIMUM_CERTIFICATE = 8 * 1024
"""Bytes in DER; vendors' take 1 to 2 KiB."""
MAXIMUM_ROOTS = 64
_MAXIMUM_PEM = 512 * 1024
_DEEPEST = 4
_PURPOSE = x509.ObjectIdentifier("2.23.133.8.1")
_KNOWN = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    }
)
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_FAULTS = (
    CryptographyDeprecationWarning,
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True)
class _Facts:
    native: x509.Certificate = field(repr=False)
    is_authority: bool
    path_length: int | None
    may_sign_certificates: bool
    purposes: frozenset[x509.ObjectIdentifier]
    has_unknown_critical: bool

    @property
    def is_root(self) -> bool:
        return self.native.issuer == self.native.subject


@dataclass(frozen=True, slots=True)
class EndorsementCertificate:
    """Parsed, not believed: `VendorRoots.verify` decides. `key`: the public key that it is about."""

    key: TpmPublicKey
    facts: _Facts = field(repr=False)


class VendorRoots:
    """Certificates that an operator pinned: TPM vendors' roots, and the authorities below them."""

    __slots__ = ("_pinned",)

    def __init__(self, pinned: tuple[_Facts, ...]) -> None:
        self._pinned = pinned

    @classmethod
    def parse(cls, pem: bytes) -> VendorRoots:
        """1 to 64 authorities in PEM, a root among them. Raises UsageError."""
        if len(pem) > _MAXIMUM_PEM:
            raise UsageError("more TPM vendor certificates than fit 512 KiB", field="ek_roots")
        try:
            pinned = tuple(map(_read, x509.load_pem_x509_certificates(pem)))
        except _FAULTS:
            raise UsageError("TPM vendor certificates that cannot be read", hint="PEM is expected") from None
        if len(pinned) > MAXIMUM_ROOTS or not any(one.is_root for one in pinned):
            raise UsageError("1 to 64 TPM vendor certificates are needed, a root among them", field="ek_roots")
        if not all(one.is_authority and one.may_sign_certificates for one in pinned):
            raise UsageError("a TPM vendor certificate that is not an authority's", field="ek_roots")
        return cls(pinned)

    def verify(self, certificate: EndorsementCertificate, now: datetime) -> None:
        """Raise IdentityError unless a chain of valid certificates leads from `certificate` to a pinned root."""
        leaf = certificate.facts
        if leaf.is_authority or _PURPOSE not in leaf.purposes:
            raise IdentityError("a certificate that is not a TPM's endorsement certificate")
        _check_one(leaf, now)
        self._climb(leaf, now, 0)

    def _climb(self, child: _Facts, now: datetime, below: int) -> None:
        """`below`: how many authorities the issuer of `child` has below it on this way."""
        refusal = IdentityError(
            "an endorsement certificate of a TPM vendor that the policy does not trust",
            hint="add the vendor's root, and the authorities below it, to the policy's ek_roots",
        )
        for issuer in self._pinned:
            if below < _DEEPEST and _is_issued(child, issuer):
                try:
                    _check_issuer(issuer, now, below)
                    if not issuer.is_root:
                        self._climb(issuer, now, below + 1)
                    return
                except IdentityError as error:
                    refusal = error  # a vendor's renewed authority may stand beside its expired one
        raise refusal


def parse_endorsement(der: bytes) -> EndorsementCertificate:
    """Raises IdentityError, whatever the bytes."""
    if len(der) > MAXIMUM_CERTIFICATE:
        raise IdentityError("an endorsement certificate larger than 8 KiB")
    try:
        native = x509.load_der_x509_certificate(der)
        return EndorsementCertificate(_tpm_key(native), _read(native))
    except _FAULTS:
        raise IdentityError("an endorsement certificate that cannot be read") from None


def _tpm_key(native: x509.Certificate) -> TpmPublicKey:
    public = native.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return RsaPublic(numbers.n, numbers.e)
    if isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1 | ec.SECP384R1):
        point = public.public_numbers()
        curve = TpmCurve.P256 if isinstance(public.curve, ec.SECP256R1) else TpmCurve.P384
        return EccPublic(curve, point.x, point.y)
    raise ValueError("not a key of a TPM")


def _read(native: x509.Certificate) -> _Facts:
    extensions = native.extensions
    constraints = _extension(extensions, x509.BasicConstraints)
    usage = _extension(extensions, x509.KeyUsage)
    return _Facts(
        native=native,
        is_authority=bool(constraints and constraints.ca),
        path_length=constraints.path_length if constraints else None,
        may_sign_certificates=bool(usage and usage.key_cert_sign),
        purposes=frozenset(_extension(extensions, x509.ExtendedKeyUsage) or ()),
        has_unknown_critical=any(one.critical and one.oid not in _KNOWN for one in extensions),
    )


def _extension(extensions: x509.Extensions, kind: type[_Kind]) -> _Kind | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _is_issued(child: _Facts, issuer: _Facts) -> bool:
    try:
        child.native.verify_directly_issued_by(issuer.native)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return isinstance(child.native.signature_hash_algorithm, _HASHES)


def _check_issuer(issuer: _Facts, now: datetime, below: int) -> None:
    _check_one(issuer, now)
    if issuer.path_length is not None and issuer.path_length < below:
        raise IdentityError("an endorsement certificate below an authority that allows none there")


def _check_one(facts: _Facts, now: datetime) -> None:
    native = facts.native
    if not native.not_valid_before_utc <= now <= native.not_valid_after_utc:
        raise IdentityError("an endorsement certificate, or an authority above it, that is not valid now")
    if facts.has_unknown_critical:
        raise IdentityError("an endorsement certificate, or an authority above it, that demands what we do not know")
    public = native.public_key()
    is_strong_rsa = isinstance(public, rsa.RSAPublicKey) and public.key_size >= 2048
    if not is_strong_rsa and not (isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, _CURVES)):
        raise IdentityError("an endorsement certificate, or an authority above it, with a weak key")
