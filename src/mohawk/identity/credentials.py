"""All that a node needs to prove itself and to judge others, as one value and as one byte string
(docs/spec/identity.md 5).

The byte string goes into a 0600 file or through an inherited pipe, never into argv or the environment: both are
readable by others. It holds the private key, under a password where one is given. Parsing is strict: unknown or missing
fields, a key that is not the leaf's, or a chain that does not end in one of the roots are refused at start, not at the
first handshake.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime

from mohawk.crypto import x509
from mohawk.crypto.signing import SigningKey
from mohawk.crypto.x509 import Certificate
from mohawk.errors import IdentityError, UsageError
from mohawk.identity.certificates import Leaf, PeerIdentity, check_peer
from mohawk.identity.names import NodeName
from mohawk.identity.root_set import RootSet

MAXIMUM_BUNDLE = 64 * 1024
_FORMAT = "mohawk-node-2"
_FIELDS = frozenset({"format", "chain", "key", "roots", "roots_number"})
_HINT = "join anew by a token (`mohawk worker join`), or issue it again with `mohawk pki issue`"


@dataclass(frozen=True, slots=True)
class NodeCredentials:
    """`chain` is leaf then issuing authority; `roots` are the trust domain's roots, current and next, and
    `roots_number` says which root set they are (identity.md 7). Raises IdentityError.
    """

    chain: tuple[Certificate, ...]
    key: SigningKey = field(repr=False)
    roots: tuple[Certificate, ...]
    roots_number: int = 0

    def __post_init__(self) -> None:
        if len(self.chain) != 2 or not 1 <= len(self.roots) <= 4:
            raise IdentityError("an identity that is not a leaf, its issuer and one to four roots", hint=_HINT)
        if self.key.spki() != self.chain[0].spki:
            raise IdentityError("an identity whose key is not its certificate's", hint=_HINT)

    @property
    def root_set(self) -> RootSet:
        return RootSet(self.roots_number, self.roots)

    @property
    def pins(self) -> frozenset[str]:
        """SHA-256 of the roots' public keys."""
        return frozenset(root.pin for root in self.roots)

    @property
    def name(self) -> NodeName:
        """Our own name. Raises IdentityError when the leaf holds none."""
        leaf = self.chain[0]
        if len(leaf.uris) != 1:
            raise IdentityError("an identity whose certificate does not name a node", hint=_HINT)
        return NodeName.parse(leaf.uris[0])

    @property
    def domain(self) -> str:
        return self.name.domain

    @property
    def root(self) -> Certificate:
        """The root above our issuing authority. One of the others, where none is: judging then refuses."""
        issuing = self.chain[1]
        return next((root for root in self.roots if root.key_id == issuing.authority_key_id), self.roots[0])

    def check(self, now: datetime) -> PeerIdentity:
        """Our own identity as peers will judge it at `now`: an expired leaf shows at start. Raises
        IdentityRefusedError.
        """
        return check_peer((*self.chain, self.root), now, self.pins, self.domain)

    def renewed(self, chain: tuple[Certificate, ...], key: SigningKey) -> NodeCredentials:
        """The same node with a fresh leaf. Raises IdentityError when the key is not the leaf's."""
        return replace(self, chain=chain, key=key)

    def pinning(self, roots: RootSet) -> NodeCredentials:
        """The same node, judging by another root set."""
        return replace(self, roots=roots.roots, roots_number=roots.number)


def bundle(leaf: Leaf, roots: tuple[Certificate, ...], roots_number: int = 0) -> NodeCredentials:
    """A fresh leaf with the roots it will judge others by."""
    return NodeCredentials(leaf.chain, leaf.key, roots, roots_number)


def encode(credentials: NodeCredentials, password: bytes | None = None) -> bytes:
    """One byte string; the private key in clear without a password."""
    document = {
        "format": _FORMAT,
        "chain": _join(credentials.chain),
        "key": credentials.key.to_pem(password).decode("ascii"),
        "roots": _join(credentials.roots),
        "roots_number": str(credentials.roots_number),
    }
    return json.dumps(document, indent=1).encode("ascii")


def parse(data: bytes, password: bytes | None = None) -> NodeCredentials:
    """The inverse of `encode`. Raises IdentityError, whatever the bytes."""
    document = _document(data)
    try:
        key = SigningKey.from_pem(document["key"], password)
    except UsageError as error:
        raise IdentityError(f"an identity whose private key cannot be read: {error.message}", hint=error.hint) from None
    number = document["roots_number"]
    if not number.isdigit() or len(number) > 18:
        raise IdentityError("an identity file with a root set that has no number", hint=_HINT)
    return NodeCredentials(x509.parse_pem(document["chain"]), key, x509.parse_pem(document["roots"]), int(number))


def _document(data: bytes) -> dict[str, bytes]:
    if len(data) > MAXIMUM_BUNDLE:
        raise IdentityError("an identity file larger than 64 KiB", hint=_HINT)
    try:
        document = json.loads(data.decode("ascii"))
    except (ValueError, RecursionError):
        raise IdentityError("an identity file that cannot be read", hint=_HINT) from None
    if not isinstance(document, dict) or document.keys() != _FIELDS or document["format"] != _FORMAT:
        raise IdentityError("not an identity file of this version", hint=_HINT)
    try:
        return {name: text.encode("ascii") for name, text in document.items()}
    except (AttributeError, UnicodeEncodeError):
        raise IdentityError("an identity file with a field that is not text", hint=_HINT) from None


def _join(certificates: tuple[Certificate, ...]) -> str:
    return b"".join(certificate.pem for certificate in certificates).decode("ascii")
