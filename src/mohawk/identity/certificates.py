"""Issuing certificates, and judging a peer's chain (docs/spec/identity.md 2-4).

Rules, and the attack each stops:
- A chain is leaf, issuing authority, root: three certificates, no more. A leaf that signs a leaf, or an authority
  below the issuing one, makes a chain of four (H15, H16).
- The root is one whose public key we pin; no other root, and never the system's, is asked (H17).
- Every key is P-384 and every signature ECDSA with SHA-384, in every link (H06).
- Leaf: not an authority; critical key usage digitalSignature and nothing else; serverAuth and clientAuth both present
  (OpenSSL alone accepts a leaf without EKU, H09, H10); exactly one alternative name, a URI that names a node of our
  domain (H11, H12).
- Time is an argument, checked here once more after OpenSSL did (H07, H08). A leaf that lives longer than 7 days is
  refused even when an authority signed it: short life is our revocation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from mohawk.crypto import x509
from mohawk.crypto.signing import SigningKey, spki_sha256
from mohawk.crypto.x509 import Certificate, Template
from mohawk.errors import IdentityError, UsageError
from mohawk.identity.names import IdentityRefusedError, NodeName, Reason, Role

BACKDATED = timedelta(minutes=5)
"""notBefore lies this far in the past, for peers whose clock is a little behind."""
LEAF_LIFETIME = timedelta(hours=24)
LEAF_MAXIMUM = timedelta(days=7)
ISSUING_LIFETIME = timedelta(days=365)
ISSUING_MAXIMUM = timedelta(days=1095)
ROOT_LIFETIME = timedelta(days=3652)
LAST_DAY = datetime(2035, 12, 31, tzinfo=UTC)
"""NIST IR 8547 disallows ECDSA after 2035."""

_REISSUE = "join anew by a token (`mohawk worker join`), or issue it again with `mohawk pki issue`"
_CLOCK = "compare this machine's clock with the peer's"


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that may sign others, with its key. `above`: an issuing authority's root; None for a root."""

    certificate: Certificate
    key: SigningKey = field(repr=False)
    above: Certificate | None = None


@dataclass(frozen=True, slots=True)
class Leaf:
    """A fresh leaf: `chain` is leaf then issuing authority, as TLS sends it."""

    chain: tuple[Certificate, ...]
    key: SigningKey = field(repr=False)


def is_renewal_due(leaf: Certificate, now: datetime, jitter: float) -> bool:
    """Half of its life is over, or up to 10 % more by `jitter` (0 to 1, fixed per node): nodes that were issued
    together do not all come back together.
    """
    return now >= leaf.not_before + (leaf.not_after - leaf.not_before) * (0.5 + 0.1 * jitter)


@dataclass(frozen=True, slots=True)
class PeerIdentity:
    """A peer whose chain passed every rule. `spki` is its leaf's public key in DER: what its signatures are verified
    with.
    """

    name: NodeName
    serial: int
    not_after: datetime
    leaf_digest: str
    spki: bytes = field(repr=False)


# ---- issuing --------------------------------------------------------------------------------------------------------


def issue_root(now: datetime) -> Authority:
    """A self-signed root for 10 years, not past 2035. Keep its key offline."""
    key = SigningKey.generate()
    template = Template(
        common_name=_authority_name("root", key),
        not_before=_start(now),
        not_after=min(_whole_seconds(now) + ROOT_LIFETIME, LAST_DAY),
        path_length=1,
    )
    return Authority(x509.issue(template, key.spki(), None, key), key)


def issue_issuing(root: Authority, now: datetime, lifetime: timedelta = ISSUING_LIFETIME) -> Authority:
    """The authority that signs leaves. Raises UsageError when it should outlive 1,095 days or its root."""
    if root.above is not None:
        raise UsageError("only a root signs an issuing authority")
    key = SigningKey.generate()
    template = Template(
        common_name=_authority_name("issuing", key),
        not_before=_start(now),
        not_after=_end(now, lifetime, ISSUING_MAXIMUM, root),
        path_length=0,
    )
    return Authority(x509.issue(template, key.spki(), root.certificate, root.key), key, root.certificate)


def issue_leaf(issuer: Authority, name: NodeName, now: datetime, lifetime: timedelta = LEAF_LIFETIME) -> Leaf:
    """A node's certificate and fresh key. Raises UsageError when it should outlive 7 days or its issuer."""
    key = SigningKey.generate()
    return Leaf(issue_leaf_for(issuer, name, key.spki(), now, lifetime), key)


def issue_leaf_for(
    issuer: Authority, name: NodeName, spki: bytes, now: datetime, lifetime: timedelta = LEAF_LIFETIME
) -> tuple[Certificate, ...]:
    """The chain for a key that was born on the node: `spki` is a checked request's. Raises UsageError like
    `issue_leaf`.
    """
    template = Template(
        common_name=name.name,
        not_before=_start(now),
        not_after=_end(now, lifetime, LEAF_MAXIMUM, issuer),
        is_client=True,
        is_server=True,
        uris=(str(name),),
    )
    return _issue_chain(issuer, template, spki)


def issue_api_leaf(
    issuer: Authority, hosts: tuple[str, ...], now: datetime, lifetime: timedelta = LEAF_LIFETIME
) -> Leaf:
    """The public API's certificate: DNS names and IP addresses, serverAuth only, no SPIFFE id, so it can never act as
    a node.
    """
    if not hosts:
        raise UsageError("an API certificate needs at least one host name or address", field="hosts")
    template = Template(
        common_name="Mohawk API",
        not_before=_start(now),
        not_after=_end(now, lifetime, LEAF_MAXIMUM, issuer),
        is_server=True,
        hosts=hosts,
    )
    key = SigningKey.generate()
    return Leaf(_issue_chain(issuer, template, key.spki()), key)


def _issue_chain(issuer: Authority, template: Template, spki: bytes) -> tuple[Certificate, ...]:
    if issuer.above is None:
        raise UsageError("a root signs no leaf; use the issuing authority")
    return (x509.issue(template, spki, issuer.certificate, issuer.key), issuer.certificate)


def _authority_name(kind: str, key: SigningKey) -> str:
    return f"Mohawk {kind} {spki_sha256(key.spki())[:16]}"


def _whole_seconds(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(microsecond=0)


def _start(now: datetime) -> datetime:
    return _whole_seconds(now) - BACKDATED


def _end(now: datetime, lifetime: timedelta, maximum: timedelta, issuer: Authority) -> datetime:
    if not timedelta(0) < lifetime <= maximum:
        raise UsageError(
            f"a lifetime beyond the maximum of {maximum.days} days",
            hint="short-lived certificates are how a lost key is outlived",
            field="lifetime",
        )
    end = _whole_seconds(now) + lifetime
    if end > issuer.certificate.not_after:
        raise UsageError("a certificate that would outlive its issuer", hint="renew the issuing authority first")
    return end


# ---- judging --------------------------------------------------------------------------------------------------------


def check_peer(chain: Sequence[Certificate], now: datetime, pins: frozenset[str], domain: str) -> PeerIdentity:
    """The identity that `chain` (leaf, issuing authority, root) proves at `now`. Raises IdentityRefusedError.

    `pins` are SHA-256 of root public keys (`Certificate.pin`); `domain` is the only trust domain accepted.
    """
    return _check_leaf(check_chain(chain, now, pins), domain)


def check_chain(chain: Sequence[Certificate], now: datetime, pins: frozenset[str]) -> Certificate:
    """The leaf of `chain` (leaf, issuing authority, root), once each link holds at `now`; what the leaf may do is not
    asked. Raises IdentityRefusedError.
    """
    if not chain:
        raise IdentityRefusedError(Reason.MISSING, "the peer showed no certificate", hint=_REISSUE)
    if len(chain) != 3:
        raise IdentityRefusedError(Reason.BROKEN_CHAIN, "a chain that is not leaf, issuing authority, root")
    leaf, issuing, root = chain
    _check_root(root, pins)
    _check_link(issuing, root)
    _check_link(leaf, issuing)
    _check_authority(root, maximum_path=1)
    _check_authority(issuing, maximum_path=0)
    for certificate in chain:
        _check_time(certificate, now)
    return leaf


def expect(peer: PeerIdentity, roles: Iterable[Role], name: str | None = None) -> PeerIdentity:
    """`peer` has one of `roles`, and this `name` where one is given (H13, H14). Raises IdentityRefusedError."""
    if peer.name.role not in frozenset(roles):
        raise IdentityRefusedError(Reason.WRONG_ROLE, "the peer's role may not be used here", peer=peer.name)
    if name is not None and peer.name.name != name:
        raise IdentityRefusedError(
            Reason.WRONG_NAME,
            f"the peer is not the node that was asked for ({name})",
            hint="check the address",
            peer=peer.name,
        )
    return peer


def _check_root(root: Certificate, pins: frozenset[str]) -> None:
    """Its own signature is not verified: the pin says which key it is, and a key that vouches for itself adds
    nothing.
    """
    if root.pin not in pins:
        raise IdentityRefusedError(
            Reason.UNTRUSTED_ROOT, "a chain that ends in a root we do not pin", hint="both nodes need the same root"
        )
    _check_strength(root)


def _check_link(child: Certificate, parent: Certificate) -> None:
    _check_strength(child)
    try:
        x509.verify_issued(child, parent)
    except IdentityError as error:
        raise IdentityRefusedError(Reason.BROKEN_CHAIN, error.message) from None


def _check_strength(certificate: Certificate) -> None:
    if not certificate.is_p384:
        raise IdentityRefusedError(Reason.WEAK_KEY, "a certificate that is not P-384 with SHA-384", hint=_REISSUE)
    if certificate.has_unknown_critical:
        raise IdentityRefusedError(Reason.UNREADABLE, "a certificate with a critical extension that we do not know")


def _check_authority(certificate: Certificate, maximum_path: int) -> None:
    path = certificate.path_length
    if not certificate.is_authority or path is None or path > maximum_path:
        raise IdentityRefusedError(Reason.AUTHORITY, "an issuer that is no authority, or one of too great a depth")
    if certificate.key_usage != {"key_cert_sign", "crl_sign"}:
        raise IdentityRefusedError(Reason.KEY_USAGE, "an authority whose key usage is not to sign certificates")


def _check_time(certificate: Certificate, now: datetime) -> None:
    if now < certificate.not_before:
        raise IdentityRefusedError(Reason.NOT_YET_VALID, "a certificate that is not valid yet", hint=_CLOCK)
    if now > certificate.not_after:
        raise IdentityRefusedError(Reason.EXPIRED, "a certificate that has expired", hint=_REISSUE)


def _check_leaf(leaf: Certificate, domain: str) -> PeerIdentity:
    if leaf.is_authority or leaf.key_usage != {"digital_signature"}:
        raise IdentityRefusedError(Reason.KEY_USAGE, "a leaf that may do more, or less, than sign a handshake")
    if not (leaf.is_server and leaf.is_client) or leaf.other_purposes:
        raise IdentityRefusedError(Reason.EXTENDED_KEY_USAGE, "a leaf that is not for both ends of a connection")
    if leaf.not_after - leaf.not_before > LEAF_MAXIMUM + BACKDATED:
        raise IdentityRefusedError(Reason.LIFETIME, "a leaf that lives longer than 7 days", hint=_REISSUE)
    if len(leaf.uris) != 1 or leaf.hosts or leaf.other_names:
        raise IdentityRefusedError(Reason.ALTERNATIVE_NAMES, "a leaf without exactly one name, its SPIFFE id")
    name = NodeName.parse(leaf.uris[0])
    if name.domain != domain:
        raise IdentityRefusedError(Reason.FOREIGN_DOMAIN, "a node of another trust domain")
    return PeerIdentity(name, leaf.serial, leaf.not_after, leaf.digest, leaf.spki)
