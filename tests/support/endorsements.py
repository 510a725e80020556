"""A TPM vendor that issues what it is told to: for endorsement certificates that break one rule each."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

EK_PURPOSE = x509.ObjectIdentifier("2.23.133.8.1")
NOW = datetime(2026, 6, 1, tzinfo=UTC)
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Maker:
    """A certificate authority: `issue` signs for whatever it is told; the arguments say what is unusual."""

    common_name: str = "Vendor root"
    above: Maker | None = None
    key: PrivateKey = field(default_factory=new_key)
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        settings: dict[str, Any] = {"is_authority": True} | self.settings
        issuer = self.above or self
        self.certificate = issuer.issue(self.key.public_key(), self.common_name, **settings)

    def issue(
        self,
        public: PublicKey,
        common_name: str = "",
        *,
        is_authority: bool = False,
        path_length: int | None = None,
        purposes: tuple[x509.ObjectIdentifier, ...] = (EK_PURPOSE,),
        usage: bool = True,
        not_before: datetime = NOW - timedelta(days=1),
        not_after: datetime = NOW + timedelta(days=365),
        digest: hashes.HashAlgorithm | None = None,
        critical: x509.ExtensionType | None = None,
    ) -> x509.Certificate:
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(subject))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.common_name)]))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(not_before)
            .not_valid_after(not_after)
            .add_extension(x509.BasicConstraints(is_authority, path_length if is_authority else None), critical=True)
            .add_extension(_usage(is_authority and usage), critical=True)
        )
        if not is_authority and purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        if not common_name:
            builder = builder.add_extension(_maker_and_model(), critical=True)
        if critical is not None:
            builder = builder.add_extension(critical, critical=True)
        return builder.sign(self.key, digest or hashes.SHA256())

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def _maker_and_model() -> x509.SubjectAlternativeName:
    """TPM manufacturer, model and version, as the profile wants them where the subject is empty."""
    names = {"2.23.133.2.1": "id:54455354", "2.23.133.2.2": "TEST", "2.23.133.2.3": "id:00010002"}
    attributes = [x509.NameAttribute(x509.ObjectIdentifier(oid), value) for oid, value in names.items()]
    return x509.SubjectAlternativeName([x509.DirectoryName(x509.Name(attributes))])


def _usage(signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=not signs,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
