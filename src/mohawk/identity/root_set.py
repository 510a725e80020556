"""Which roots a node pins, and how that set changes without a visit to every node (docs/spec/identity.md 7).

Rules, and the attack each stops:
- A new set is signed by a root of the old one: whoever holds only the issuing key, or the controller, cannot bring in a
  root of their own.
- Each newly added root signs too: nobody can be made to pin a key that its holder does not know of.
- Numbered: an old set does not bring back a root that was retired.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mohawk.crypto import canonical, x509
from mohawk.crypto.signing import verify
from mohawk.crypto.x509 import Certificate
from mohawk.errors import ArtifactError, IdentityError, RemoteError, UsageError
from mohawk.identity.certificates import Authority

MAXIMUM_ROOTS = 4
MAXIMUM_SET = 48 * 1024
_TYPE = "mohawk-root-set-1"
_HIGHEST = 2**63 - 1
_SIGNATURE = 256


@dataclass(frozen=True, slots=True)
class RootSet:
    """The roots of a trust domain, current and next. `number` rises with each change; 0: as first given to the node.

    Raises UsageError.
    """

    number: int
    roots: tuple[Certificate, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.roots) <= MAXIMUM_ROOTS or len(self.pins) != len(self.roots):
            raise UsageError("a root set holds one to four different roots")

    @property
    def pins(self) -> frozenset[str]:
        """SHA-256 of the roots' public keys."""
        return frozenset(root.pin for root in self.roots)


def sign_roots(number: int, roots: tuple[Certificate, ...], signers: tuple[Authority, ...]) -> bytes:
    """A signed set. `signers`: a root that nodes pin already, and every root that they do not."""
    RootSet(number, roots)
    payload = canonical.encode({"number": number, "roots": [{"der": root.der} for root in roots]})
    signatures: list[canonical.Json] = [
        {"pin": signer.certificate.pin, "signature": signer.key.sign(_signed(payload))} for signer in signers
    ]
    return canonical.encode({"payload": payload, "signatures": signatures, "type": _TYPE})


def accept_roots(envelope: bytes, trusted: RootSet, now: datetime) -> RootSet:
    """The set in `envelope`, which replaces `trusted`. Raises IdentityError, whatever the bytes."""
    try:
        fields = canonical.decode(envelope, MAXIMUM_SET, ("payload", "signatures", "type"))
        fields.require("type", _TYPE)
        payload = fields.blob("payload", MAXIMUM_SET)
        found = _parse(payload)
        keys = {root.pin: root.spki for root in (*trusted.roots, *found.roots)}
        signed = frozenset(
            _verified(one, keys, payload) for one in fields.items("signatures", 2 * MAXIMUM_ROOTS, ("pin", "signature"))
        )
    except (ArtifactError, UsageError):
        raise IdentityError("a root set that cannot be read") from None
    if found.number <= trusted.number:
        raise IdentityError("a root set that is not newer than ours", hint="somebody may be replaying an old one")
    if not signed & trusted.pins:
        raise IdentityError("a root set that no root of ours signed")
    if not found.pins - trusted.pins <= signed:
        raise IdentityError("a root set with a new root that did not sign it")
    for root in found.roots:
        _check_root(root, now)
    return found


def _parse(payload: bytes) -> RootSet:
    fields = canonical.decode(payload, MAXIMUM_SET, ("number", "roots"))
    roots = tuple(
        x509.parse_der(one.blob("der", x509.MAXIMUM_CERTIFICATE))
        for one in fields.items("roots", MAXIMUM_ROOTS, ("der",))
    )
    return RootSet(fields.whole("number", 1, _HIGHEST), roots)


def _verified(part: canonical.Fields, keys: Mapping[str, bytes], payload: bytes) -> str:
    """The pin of the root that made this signature."""
    pin = part.text("pin")
    signature = part.blob("signature", _SIGNATURE)
    if pin not in keys:
        raise IdentityError("a root set signed by a key that is neither ours nor in it")
    try:
        verify(keys[pin], signature, _signed(payload))
    except RemoteError:
        raise IdentityError("a root set with a signature that does not verify") from None
    return pin


def _check_root(root: Certificate, now: datetime) -> None:
    if not root.is_p384 or not root.is_authority or root.path_length != 1 or not root.is_self_issued:
        raise IdentityError("a root set with a certificate that is no root of ours")
    if root.key_usage != {"key_cert_sign", "crl_sign"} or root.has_unknown_critical:
        raise IdentityError("a root set with a certificate that is no root of ours")
    if now > root.not_after:
        raise IdentityError("a root set with a root that has expired")


def _signed(payload: bytes) -> bytes:
    return _TYPE.encode("ascii") + b"\0" + payload
