"""Who is denied: a numbered, signed list that every node keeps the newest of (docs/spec/identity.md 6).

Rules, and the attack each stops:
- Signed by a key of its own kind, under the issuing authority: its certificate has no TLS purpose and no node's name,
  so it can never act as a node, and no node's leaf can sign a list (a stolen worker key cannot revoke its neighbours).
- Numbered, and a lower number than one that was seen is refused: an old list does not bring a revoked node back.
- Issued anew every minute even if unchanged, and void after 10: whoever keeps new lists from a node makes it refuse new
  connections, not trust for ever (H19).
- What would not fit a list is refused when it is entered, not when the list is issued: a full list must not keep the
  next revocation from every node (D14).
- Entries are names as well as serials: a denied node cannot come back with a renewed certificate.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mohawk.crypto import canonical, x509
from mohawk.crypto.signing import SigningKey, verify
from mohawk.crypto.x509 import Certificate, Template
from mohawk.errors import ArtifactError, IdentityError, RemoteError, UsageError
from mohawk.identity.certificates import BACKDATED, Authority, Leaf, PeerIdentity, check_chain
from mohawk.identity.names import IdentityRefusedError, NodeName, Reason

LIFETIME = timedelta(minutes=10)
AHEAD = timedelta(seconds=60)
"""How far the issuer's clock may be ahead of ours."""
MAXIMUM_LIST = 48 * 1024
"""Bytes, so that a list fits a greeting: about 400 entries. Only nodes whose certificates may still live need one."""
MAXIMUM_ENTRIES = 1000
MAXIMUM_PAYLOAD = 32 * 1024
"""Bytes of what is signed: in base64, beside two certificates and a signature, they fit MAXIMUM_LIST."""
SIGNER_LIFETIME = timedelta(days=90)
_MAXIMUM_REASON = 128
_TYPE = "mohawk-deny-list-1"
_SERIAL = "serial:"
_HIGHEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Denial:
    """One entry. `subject`: a SPIFFE id, or `serial:` and a certificate's serial in lower-case hexadecimal.

    Raises UsageError when it could never match anything.
    """

    subject: str
    since: datetime
    reason: str = ""

    def __post_init__(self) -> None:
        if len(self.reason) > _MAXIMUM_REASON or not self.reason.isprintable():
            raise UsageError("a reason of more than 128 printable characters", field="reason")
        if self.subject.startswith(_SERIAL):
            _check_serial(self.subject.removeprefix(_SERIAL))
        else:
            _check_name(self.subject)


@dataclass(frozen=True, slots=True)
class DenyList:
    """A list that was verified, or is about to be signed."""

    number: int
    issued: datetime
    denials: tuple[Denial, ...]

    @property
    def expires(self) -> datetime:
        return self.issued + LIFETIME

    def names(self, name: str, serial: int) -> bool:
        """Whether it denies this node (SPIFFE id), or the certificate of this serial."""
        subjects = {name, f"{_SERIAL}{serial:x}"}
        return any(denial.subject in subjects for denial in self.denials)

    def refuse(self, peer: PeerIdentity) -> None:
        """Raises IdentityRefusedError(REVOKED) when the list names this peer, or its certificate."""
        if self.names(str(peer.name), peer.serial):
            raise IdentityRefusedError(
                Reason.REVOKED, "a node that was revoked", hint="two operators lift it: mohawk operator lift"
            )

    def check_fresh(self, now: datetime) -> None:
        """Raises IdentityRefusedError(STALE): a list that old may lack the one entry that matters."""
        if now > self.expires:
            raise stale()


def stale() -> IdentityRefusedError:
    """For a node whose newest deny-list is too old, or that has none."""
    return IdentityRefusedError(
        Reason.STALE, "no deny-list of the last 10 minutes", hint="a controller that holds the authority issues them"
    )


def issue_deny_list_signer(issuer: Authority, domain: str, now: datetime) -> Leaf:
    """The dedicated key that signs lists: no TLS purpose, a name that is no node's."""
    if issuer.above is None:
        raise UsageError("a root signs no leaf; use the issuing authority")
    key = SigningKey.generate()
    start = now.astimezone(UTC).replace(microsecond=0)
    template = Template(
        common_name="Mohawk deny-list",
        not_before=start - BACKDATED,
        not_after=min(start + SIGNER_LIFETIME, issuer.certificate.not_after),
        uris=(_signer_name(domain),),
    )
    return Leaf((x509.issue(template, key.spki(), issuer.certificate, issuer.key), issuer.certificate), key)


def issue_deny_list(signer: Leaf, number: int, denials: Iterable[Denial], now: datetime) -> bytes:
    """A signed list. Raises UsageError when it would not fit a greeting."""
    entries = tuple(denials)
    check_room(entries)
    payload = _payload(number, entries, now)
    envelope = canonical.encode(
        {
            "issuing": signer.chain[1].der,
            "payload": payload,
            "signature": signer.key.sign(_signed(payload)),
            "signer": signer.chain[0].der,
            "type": _TYPE,
        }
    )
    if len(envelope) > MAXIMUM_LIST:
        raise _full()
    return envelope


def check_room(denials: tuple[Denial, ...], reserve: int = 0) -> None:
    """Raises UsageError unless a list of these entries, and `reserve` bytes of others, can be issued."""
    size = len(_payload(_HIGHEST, denials, _time(_LAST)))
    if size + reserve > MAXIMUM_PAYLOAD or len(denials) > MAXIMUM_ENTRIES:
        raise _full()


def accept_deny_list(
    envelope: bytes, *, roots: tuple[Certificate, ...], domain: str, highest: int, now: datetime
) -> DenyList:
    """The list in `envelope`. `highest`: the highest number ever seen. Raises IdentityError, whatever the bytes."""
    try:
        fields = canonical.decode(envelope, MAXIMUM_LIST, ("issuing", "payload", "signature", "signer", "type"))
        fields.require("type", _TYPE)
        payload = fields.blob("payload", MAXIMUM_LIST)
        chain = tuple(x509.parse_der(fields.blob(name, x509.MAXIMUM_CERTIFICATE)) for name in ("signer", "issuing"))
        signature = fields.blob("signature", 256)
    except ArtifactError:
        raise IdentityError("a deny-list that cannot be read") from None
    spki = _check_signer(chain, roots, domain, now)
    try:
        verify(spki, signature, _signed(payload))
    except RemoteError:
        raise IdentityError("a deny-list with a signature that does not verify") from None
    found = _parse(payload)
    if found.number < highest:
        raise IdentityError("a deny-list older than one that was seen", hint="somebody may be replaying an old one")
    if found.issued > now + AHEAD:
        raise IdentityError("a deny-list from the future", hint="compare this machine's clock with the controller's")
    return found


def _check_signer(chain: tuple[Certificate, ...], roots: tuple[Certificate, ...], domain: str, now: datetime) -> bytes:
    """The public key of a deny-list signer of this domain."""
    root = next((root for root in roots if root.key_id == chain[1].authority_key_id), roots[0])
    leaf = check_chain((*chain, root), now, frozenset(root.pin for root in roots))
    if leaf.is_authority or leaf.key_usage != {"digital_signature"} or leaf.is_server or leaf.is_client:
        raise IdentityRefusedError(Reason.KEY_USAGE, "a deny-list signed by a key that is not for that")
    if leaf.uris != (_signer_name(domain),) or leaf.hosts or leaf.other_names or leaf.other_purposes:
        raise IdentityRefusedError(Reason.WRONG_NAME, "a deny-list signed by a key that is not this domain's")
    return leaf.spki


def _parse(payload: bytes) -> DenyList:
    try:
        fields = canonical.decode(payload, MAXIMUM_LIST, ("denials", "issued", "number"))
        denials = tuple(
            Denial(one.text("subject", 512), _time(one.whole("since", 0, _LAST)), one.text("reason", _MAXIMUM_REASON))
            for one in fields.items("denials", MAXIMUM_ENTRIES, ("reason", "since", "subject"))
        )
        return DenyList(fields.whole("number", 1, _HIGHEST), _time(fields.whole("issued", 0, _LAST)), denials)
    except (ArtifactError, UsageError):
        raise IdentityError("a deny-list that cannot be read") from None


_LAST = 253_402_300_799
"""The last second of the year 9999, beyond which `datetime` holds nothing."""


def _payload(number: int, denials: tuple[Denial, ...], now: datetime) -> bytes:
    return canonical.encode(
        {
            "denials": [
                {"reason": one.reason, "since": _seconds(one.since), "subject": one.subject} for one in denials
            ],
            "issued": _seconds(now),
            "number": number,
        }
    )


def _full() -> UsageError:
    return UsageError("a deny-list of too many entries", hint="rotate the issuing authority, and join the nodes anew")


def _signed(payload: bytes) -> bytes:
    """Bound to its type, so that a signature over anything else is no signature over a list."""
    return _TYPE.encode("ascii") + b"\0" + payload


def _signer_name(domain: str) -> str:
    return f"spiffe://{domain}/deny-list"  # one segment under the domain: `NodeName.parse` refuses it


def _check_name(text: str) -> None:
    try:
        NodeName.parse(text)
    except IdentityRefusedError as error:
        raise UsageError(error.message, hint=error.hint, field="subject") from None


def _check_serial(text: str) -> None:
    if not 0 < len(text) <= 40 or text.startswith("0") or not set(text) <= set("0123456789abcdef"):
        raise UsageError("not a serial in lower-case hexadecimal", hint="see `mohawk pki show`", field="subject")


def _seconds(when: datetime) -> int:
    return int(when.timestamp())


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
