"""The certificate policy, `requirements.yaml`: what an operator demands of certificates and of key exchange, where they
are issued and at every handshake (docs/spec/identity.md 10).

Rules, and the attack each stops:
- A policy can only be as strict as this version's own rules, or stricter: a copied file cannot weaken a node unnoticed.
- What this version cannot fulfil is refused when the policy is read, not at the first handshake.
- Each key of the file is compared by itself with what a certificate or handshake shows; none is there for the reader.
- An unknown or a missing key is refused: a mistyped demand would be no demand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from mohawk.crypto.x509 import Certificate
from mohawk.errors import UsageError
from mohawk.identity.certificates import ISSUING_LIFETIME, ISSUING_MAXIMUM
from mohawk.identity.names import IdentityRefusedError, Reason

MAXIMUM_POLICY = 4096
"""Bytes of the file."""
_LONGEST_PATH = 2
"""RFC 5280's path length of any authority; ours have 1 (root) and 0 (issuing)."""
_NEEDED_PATH = 1
_KEM_LEVEL = 3
_KEM_NAMES = ("Kyber768", "ML-KEM-768")
_KEMS = {"X25519MLKEM768": (_KEM_NAMES, _KEM_LEVEL)}
"""Group, as OpenSSL reports it -> its KEM, as policies name it, and NIST's security category of that (FIPS 203, 8)."""
_CERTIFICATE = ("minimum_validity_days", "maximum_path_length", "key_algorithm", "key_size_bits", "curve")
_POST_QUANTUM = ("kem_algorithm", "minimum_kem_security_level")


@dataclass(frozen=True, slots=True)
class CertificatePolicy:
    """Valid by construction: raises UsageError for what is weaker than this version's rules, or beyond what it can do.

    `minimum_validity_days` is about authorities, over their whole life: leaves live for hours.
    """

    minimum_validity_days: int = ISSUING_LIFETIME.days
    maximum_path_length: int = _LONGEST_PATH
    key_algorithm: str = "ECDSA"
    key_size_bits: int = 384
    curve: str = "secp384r1"
    kem_algorithm: str = "Kyber768"
    minimum_kem_security_level: int = _KEM_LEVEL

    def __post_init__(self) -> None:
        _check_range("minimum_validity_days", self.minimum_validity_days, ISSUING_LIFETIME.days, ISSUING_MAXIMUM.days)
        _check_range("maximum_path_length", -self.maximum_path_length, -_LONGEST_PATH, -_NEEDED_PATH)
        _check_range("key_size_bits", self.key_size_bits, 384, 384)
        _check_range("minimum_kem_security_level", self.minimum_kem_security_level, _KEM_LEVEL, _KEM_LEVEL)
        _check_word("key_algorithm", self.key_algorithm, ("ECDSA",))
        _check_word("curve", self.curve, ("secp384r1",))
        _check_word("kem_algorithm", self.kem_algorithm, _KEM_NAMES)

    @property
    def authority_lifetime(self) -> timedelta:
        """The shortest life of an issuing authority that this policy accepts."""
        return timedelta(days=self.minimum_validity_days)

    def check_chain(self, chain: Sequence[Certificate]) -> None:
        """Leaf first, then its authorities. Raises IdentityRefusedError(POLICY)."""
        for certificate in chain:
            self.check_key(certificate)
        for authority in chain[1:]:
            self.check_authority(authority)

    def check_key(self, certificate: Certificate) -> None:
        """Raises IdentityRefusedError(POLICY)."""
        if certificate.key_algorithm != self.key_algorithm:
            raise _refusal("key_algorithm", "a certificate with a key of another algorithm")
        if certificate.key_bits != self.key_size_bits:
            raise _refusal("key_size_bits", "a certificate with a key of another size")
        if certificate.curve != self.curve:
            raise _refusal("curve", "a certificate with a key on another curve")

    def check_authority(self, authority: Certificate) -> None:
        """Raises IdentityRefusedError(POLICY)."""
        if authority.not_after - authority.not_before < self.authority_lifetime:
            raise _refusal("minimum_validity_days", "an authority that lives too short")
        if authority.path_length is None or authority.path_length > self.maximum_path_length:
            raise _refusal("maximum_path_length", "an authority of too great a depth")

    def check_group(self, group: str) -> None:
        """`group`: what a handshake ended with. Raises IdentityRefusedError(POLICY)."""
        names, level = _KEMS.get(group, ((), 0))
        if self.kem_algorithm not in names:
            raise _refusal("kem_algorithm", "a key exchange without the policy's KEM")
        if level < self.minimum_kem_security_level:
            raise _refusal("minimum_kem_security_level", "a key exchange of too low a security level")


def parse_policy(document: object) -> CertificatePolicy:
    """A policy from what a YAML file held. Raises UsageError: another shape, or what `CertificatePolicy` refuses."""
    top = _mapping(document, "the file", ("certificate", "pqc_requirements"))
    certificate = _mapping(top["certificate"], "certificate", _CERTIFICATE)
    post_quantum = _mapping(top["pqc_requirements"], "pqc_requirements", _POST_QUANTUM)
    return CertificatePolicy(
        minimum_validity_days=_whole(certificate, "minimum_validity_days"),
        maximum_path_length=_whole(certificate, "maximum_path_length"),
        key_algorithm=_text(certificate, "key_algorithm"),
        key_size_bits=_whole(certificate, "key_size_bits"),
        curve=_text(certificate, "curve"),
        kem_algorithm=_text(post_quantum, "kem_algorithm"),
        minimum_kem_security_level=_whole(post_quantum, "minimum_kem_security_level"),
    )


def encode_policy(policy: CertificatePolicy) -> bytes:
    """The file."""
    return f"""\
# What this trust domain demands of certificates and key exchange. Checked when a certificate is issued and at every
# handshake. Stricter values are enforced; weaker ones, and those that this version cannot fulfil, stop the start.
certificate:
  minimum_validity_days: {policy.minimum_validity_days}  # authorities only; leaves live for 24 hours
  maximum_path_length: {policy.maximum_path_length}
  key_algorithm: "{policy.key_algorithm}"
  key_size_bits: {policy.key_size_bits}
  curve: "{policy.curve}"
pqc_requirements:
  kem_algorithm: "{policy.kem_algorithm}"  # ML-KEM-768 (FIPS 203), in the group X25519MLKEM768
  minimum_kem_security_level: {policy.minimum_kem_security_level}  # NIST security category
""".encode("ascii")


def _refusal(key: str, message: str) -> IdentityRefusedError:
    return IdentityRefusedError(Reason.POLICY, message, hint=f"requirements.yaml: {key}")


def _check_range(key: str, value: int, low: int, high: int) -> None:
    """`low`: this version's own rule; `high`: the strictest that it can keep."""
    if value < low:
        raise UsageError(f"requirements.yaml: {key} asks for less than this version's own rule", field=key)
    if value > high:
        raise UsageError(f"requirements.yaml: {key} asks for more than this version can do", field=key)


def _check_word(key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        hint = f"this version knows {' and '.join(known)}"
        raise UsageError(f"requirements.yaml: {key} names what this version does not use", hint=hint, field=key)


def _mapping(value: object, what: str, keys: tuple[str, ...]) -> Mapping[object, object]:
    if not isinstance(value, Mapping) or value.keys() != set(keys):
        hint = f"it holds exactly: {', '.join(keys)}"
        raise UsageError(f"requirements.yaml: {what} has missing or unknown keys", hint=hint, field=what)
    return value


def _whole(mapping: Mapping[object, object], key: str) -> int:
    value = mapping[key]
    if not isinstance(value, int) or isinstance(value, bool):
        raise UsageError(f"requirements.yaml: {key} is not a whole number", field=key)
    return value


def _text(mapping: Mapping[object, object], key: str) -> str:
    value = mapping[key]
    if not isinstance(value, str):
        raise UsageError(f"requirements.yaml: {key} is not a text", field=key)
    return value


BUILT_IN = CertificatePolicy()
"""What holds where no file says more."""
