"""Certificates as facts, and their making. The only file that knows the library's certificate classes.

Rules, and the attack each stops:
- `Certificate` is parsed, not believed: it holds what policy asks about, and says nothing of trust. `mohawk.identity`
  decides.
- Every extension that policy reads is read here once, so no second parser can read it differently.
- Unknown critical extensions are reported, never skipped: RFC 5280 4.2 makes skipping one a hole.
- Signing is P-384 with SHA-384 and nothing else; a call that asks for another curve cannot be written (H06).
- Serials have 159 random bits: a chosen-prefix collision needs a predictable serial. One that is not positive is
  refused (RFC 5280 4.1.2.2): a deny-list must never meet a serial that two parsers read differently.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID, SignatureAlgorithmOID

from mohawk.crypto.primitives import sha256
from mohawk.crypto.signing import SigningKey, spki_sha256
from mohawk.errors import IdentityError, UsageError

NativeCertificate = x509.Certificate
"""The library's own class, for the one caller (OpenSSL contexts) that must hand it over. Opaque above this floor."""

_Kind = TypeVar("_Kind", bound=x509.ExtensionType)

MAXIMUM_CERTIFICATE = 16 * 1024
"""Bytes of one certificate in DER; ours take about 700."""

_READ = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    }
)
_KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)
_PARSE_FAULTS = (
    CryptographyDeprecationWarning,  # where warnings are errors: the library only warns of what it will refuse
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True)
class Certificate:
    """What policy asks of one certificate. Times are aware (UTC); `spki` and `der` are DER."""

    native: NativeCertificate = field(repr=False, compare=False)
    der: bytes = field(repr=False)
    spki: bytes = field(repr=False)
    serial: int
    not_before: datetime
    not_after: datetime
    key_algorithm: str
    """`ECDSA`, `RSA`, `Ed25519`, … as certificate policies spell it; `unknown` for what none of ours would hold."""
    key_bits: int
    curve: str
    """As SECG spells it, for example `secp384r1`; empty without a curve."""
    is_p384: bool
    """Key on P-384 and signature ECDSA with SHA-384."""
    is_self_issued: bool
    is_authority: bool
    path_length: int | None
    key_usage: frozenset[str]
    """Names of RFC 5280 4.2.1.3 in snake case; empty when the extension is absent or not critical."""
    is_server: bool
    is_client: bool
    other_purposes: int
    """Extended key usages beyond serverAuth and clientAuth."""
    uris: tuple[str, ...]
    hosts: tuple[str, ...]
    """DNS names and IP addresses."""
    other_names: int
    key_id: bytes | None
    authority_key_id: bytes | None
    has_unknown_critical: bool

    @property
    def pem(self) -> bytes:
        return self.native.public_bytes(Encoding.PEM)

    @property
    def pin(self) -> str:
        """SHA-256 of the public key's DER, in hexadecimal."""
        return spki_sha256(self.spki)

    @property
    def digest(self) -> str:
        """SHA-256 of the whole certificate, in hexadecimal."""
        return sha256(self.der).hex()


@dataclass(frozen=True, slots=True)
class Template:
    """What a new certificate shall say. `path_length` None: not an authority."""

    common_name: str
    not_before: datetime
    not_after: datetime
    path_length: int | None = None
    is_client: bool = False
    is_server: bool = False
    uris: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


# ---- reading --------------------------------------------------------------------------------------------------------


def parse_der(data: bytes) -> Certificate:
    """One certificate from DER. Raises IdentityError, whatever the bytes."""
    if len(data) > MAXIMUM_CERTIFICATE:
        raise IdentityError("a certificate larger than 16 KiB")
    try:
        return _facts(x509.load_der_x509_certificate(data))
    except _PARSE_FAULTS:
        raise IdentityError("a certificate that cannot be read") from None


def parse_pem(data: bytes) -> tuple[Certificate, ...]:
    """The certificates of a PEM text, in order; at least one. Raises IdentityError."""
    try:
        return tuple(_facts(native) for native in x509.load_pem_x509_certificates(data))
    except _PARSE_FAULTS:
        raise IdentityError("certificates that cannot be read", hint="a PEM file of certificates is expected") from None


def from_native(native: NativeCertificate) -> Certificate:
    """The facts of a certificate that OpenSSL parsed. Raises IdentityError."""
    try:
        return _facts(native)
    except _PARSE_FAULTS:
        raise IdentityError("a certificate that cannot be read") from None


def verify_issued(child: Certificate, parent: Certificate) -> None:
    """`child` names `parent` as its issuer, by name and key id, and carries its signature. Raises IdentityError."""
    try:
        child.native.verify_directly_issued_by(parent.native)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        raise IdentityError("a certificate that its alleged issuer did not sign") from None
    if child.authority_key_id is None or child.authority_key_id != parent.key_id:
        raise IdentityError("a certificate whose issuer's key id does not match")


def _facts(native: NativeCertificate) -> Certificate:
    if native.serial_number <= 0:
        raise ValueError("not a serial number")
    extensions = native.extensions
    constraints = _extension(extensions, x509.BasicConstraints)
    names = _extension(extensions, x509.SubjectAlternativeName)
    purposes = set(_extension(extensions, x509.ExtendedKeyUsage) or ())
    uris = tuple(names.get_values_for_type(x509.UniformResourceIdentifier)) if names else ()
    hosts = _hosts(names) if names else ()
    key_id = _extension(extensions, x509.SubjectKeyIdentifier)
    authority = _extension(extensions, x509.AuthorityKeyIdentifier)
    public = native.public_key()
    algorithm, bits, curve = _key_facts(public)
    ours = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    return Certificate(
        native=native,
        der=native.public_bytes(Encoding.DER),
        spki=public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        serial=native.serial_number,
        not_before=native.not_valid_before_utc,
        not_after=native.not_valid_after_utc,
        key_algorithm=algorithm,
        key_bits=bits,
        curve=curve,
        is_p384=isinstance(public, ec.EllipticCurvePublicKey)
        and isinstance(public.curve, ec.SECP384R1)
        and native.signature_algorithm_oid == SignatureAlgorithmOID.ECDSA_WITH_SHA384,
        is_self_issued=native.issuer == native.subject,
        is_authority=bool(constraints and constraints.ca),
        path_length=constraints.path_length if constraints else None,
        key_usage=_key_usage(extensions),
        is_server=ExtendedKeyUsageOID.SERVER_AUTH in purposes,
        is_client=ExtendedKeyUsageOID.CLIENT_AUTH in purposes,
        other_purposes=len(purposes - ours),
        uris=uris,
        hosts=hosts,
        other_names=(len(list(names)) if names else 0) - len(uris) - len(hosts),
        key_id=key_id.digest if key_id else None,
        authority_key_id=authority.key_identifier if authority else None,
        has_unknown_critical=any(one.critical and one.oid not in _READ for one in extensions),
    )


def _key_facts(public: object) -> tuple[str, int, str]:
    """Algorithm, size in bits, curve."""
    match public:
        case ec.EllipticCurvePublicKey():
            return "ECDSA", public.curve.key_size, public.curve.name
        case rsa.RSAPublicKey():
            return "RSA", public.key_size, ""
        case ed25519.Ed25519PublicKey():
            return "Ed25519", 256, ""
    return "unknown", 0, ""


def _extension(extensions: x509.Extensions, kind: type[_Kind]) -> _Kind | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _hosts(names: x509.SubjectAlternativeName) -> tuple[str, ...]:
    addresses = (str(address) for address in names.get_values_for_type(x509.IPAddress))
    return (*names.get_values_for_type(x509.DNSName), *addresses)


def _key_usage(extensions: x509.Extensions) -> frozenset[str]:
    try:
        extension = extensions.get_extension_for_class(x509.KeyUsage)
    except x509.ExtensionNotFound:
        return frozenset()
    if not extension.critical:
        return frozenset()
    return frozenset(usage for usage in _KEY_USAGES if getattr(extension.value, usage))


# ---- making ---------------------------------------------------------------------------------------------------------


def issue(template: Template, spki: bytes, issuer: Certificate | None, signer: SigningKey) -> Certificate:
    """A certificate for the public key `spki` (DER), signed by `signer`; `issuer` None: self-signed.

    Raises UsageError: a name that no certificate can hold.
    """
    try:
        builder = _builder(template, spki, issuer)
        return _facts(builder.sign(signer.private, hashes.SHA384()))
    except ValueError as error:
        raise UsageError("a name that no certificate can hold") from error


def _builder(template: Template, spki: bytes, issuer: Certificate | None) -> x509.CertificateBuilder:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, template.common_name)])
    public = load_der_public_key(spki)
    assert isinstance(public, ec.EllipticCurvePublicKey)  # ours, or a request's, whose curve was checked
    key_id = x509.SubjectKeyIdentifier.from_public_key(public)
    authority = issuer.key_id if issuer else key_id.digest
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.native.subject if issuer else name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(template.not_before)
        .not_valid_after(template.not_after)
        .add_extension(_constraints(template), critical=True)
        .add_extension(_usage(is_authority=template.path_length is not None), critical=True)
        .add_extension(key_id, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier(authority, None, None), critical=False)
    )
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH] * template.is_server + [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ] * template.is_client
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    names = [*map(x509.UniformResourceIdentifier, template.uris), *map(_host_name, template.hosts)]
    return builder.add_extension(x509.SubjectAlternativeName(names), critical=False) if names else builder


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _constraints(template: Template) -> x509.BasicConstraints:
    return x509.BasicConstraints(ca=template.path_length is not None, path_length=template.path_length)


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
