"""Join tokens: what a machine without a certificate needs to get one, as one line of text (docs/spec/identity.md 9).

Rules, and the attack each stops:
- The secret never leaves the two ends: the joiner proves it by a MAC over this very connection, so whoever relays the
  request to the real controller has another TLS exporter, hence nothing.
- The MAC covers name, certificate request and TPM: a token for one name cannot bring in another, nor another key.
- The token says which root the controller must prove: a joiner gives nothing to whoever answers at that address.
- It says whose models the machine will believe: the publisher's key is the operator's, and no controller names another.
- The controller keeps the MAC key, not the secret; and it only for as long as the token lives.
- A checksum tells a token that was mistyped from one that is wrong: the first is the typist's business alone.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from mohawk.crypto import canonical
from mohawk.crypto.primitives import derive, hmac_sha384, length_prefixed, random_bytes, require_equal, sha256
from mohawk.errors import ArtifactError, IdentityError, RemoteError, UsageError
from mohawk.identity.names import IdentityRefusedError, NodeName
from mohawk.ids import check_digest

LIFETIME = timedelta(seconds=600)
SECRET_SIZE = 32
ID_SIZE = 16
PROOF_SIZE = 48
EXPORTER_CONTEXT = b"mie-join"
"""Of the TLS exporter whose 32 bytes the proof is bound to."""
EXPORTER_SIZE = 32
MAXIMUM_TOKEN = 2048
"""Characters; ours take about 500."""
_TYPE = "mohawk-join-1"
_LABEL = b"mie-join-v1"
_CHECKSUM = 8
_KEYS = ("controller", "ek", "expires", "name", "publisher", "root", "secret")
_ADDRESS = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]{2,45})\]|(?P<host>[A-Za-z0-9._-]{1,253})):(?P<port>[1-9][0-9]{0,4})", re.ASCII
)
_LAST = 253_402_300_799
_HINT = "copy it again, whole, from where `mohawk pki token` printed it"


@dataclass(frozen=True, slots=True)
class JoinToken:
    """Valid by construction; raises UsageError. `controller`: host:port of its join port; `root`: the SHA-256 of its
    root's public key; `publisher`: of the publisher's pins; `ek_hash`: of the TPM that must be in the machine (SHA-256
    of its EK's public area), empty for any.
    """

    name: NodeName
    expires: datetime
    root: str
    controller: str
    publisher: str
    ek_hash: str = ""
    secret: bytes = field(default_factory=lambda: random_bytes(SECRET_SIZE), repr=False)

    def __post_init__(self) -> None:
        split_address(self.controller)
        if len(self.secret) != SECRET_SIZE:
            raise UsageError("a join token whose secret is not 32 bytes")
        _check_hash(self.root)
        _check_hash(self.publisher)
        if self.ek_hash:
            _check_hash(self.ek_hash)

    @property
    def id(self) -> bytes:
        """16 bytes that name the token, and tell nothing of its secret."""
        return derive(self.secret, _LABEL, b"id", ID_SIZE)

    @property
    def mac_key(self) -> bytes:
        return derive(self.secret, _LABEL, b"mac", PROOF_SIZE)

    def prove(self, exporter: bytes, request: bytes) -> bytes:
        """Knowledge of the secret, on the connection with this exporter, for this certificate request (DER)."""
        return _proof(self.mac_key, exporter, self.name, request, self.ek_hash)

    def opened(self, issued: datetime) -> OpenToken:
        """What the controller keeps of it."""
        return OpenToken(self.id, self.name, issued, self.expires, self.ek_hash, self.mac_key)


@dataclass(frozen=True, slots=True)
class OpenToken:
    """The controller's side of a token."""

    id: bytes
    name: NodeName
    issued: datetime
    expires: datetime
    ek_hash: str
    mac_key: bytes = field(repr=False)

    def verify(self, proof: bytes, exporter: bytes, request: bytes) -> None:
        """Raises IdentityError: whoever made `proof` does not hold this token, or not on this connection."""
        expected = _proof(self.mac_key, exporter, self.name, request, self.ek_hash)
        require_equal(proof, expected, IdentityError("a proof that no holder of this token made"))


def encode_token(token: JoinToken) -> str:
    """One line: `mohawk-join-1.<base64url>.<checksum>`."""
    payload = canonical.encode(
        {
            "controller": token.controller,
            "ek": token.ek_hash,
            "expires": int(token.expires.timestamp()),
            "name": str(token.name),
            "publisher": token.publisher,
            "root": token.root,
            "secret": token.secret,
        }
    )
    text = f"{_TYPE}.{base64.urlsafe_b64encode(payload).decode('ascii').rstrip('=')}"
    return f"{text}.{_checksum(text)}"


def parse_token(text: str) -> JoinToken:
    """The inverse of `encode_token`; one token has one spelling. Raises UsageError, whatever the text."""
    head, _, checksum = text.rpartition(".")
    kind, _, encoded = head.partition(".")
    if len(text) > MAXIMUM_TOKEN or not text.isascii() or kind != _TYPE:
        raise UsageError("not a join token of this version", hint=_HINT, field="token")
    if checksum != _checksum(head):
        raise UsageError("a join token that was mistyped or cut off", hint=_HINT, field="token")
    try:
        token = _parse_payload(base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True))
    except (ArtifactError, IdentityRefusedError, ValueError):
        raise UsageError("a join token that cannot be read", hint=_HINT, field="token") from None
    if encode_token(token) != text:
        raise UsageError("a join token in another spelling than ours", hint=_HINT, field="token")
    return token


def split_address(text: str) -> tuple[str, int]:
    """`10.0.0.1:8002` or `[::1]:8002` -> (host, port). Raises UsageError."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > 65535:
        raise UsageError("not an address of a join port", hint="HOST:PORT, for example 10.0.0.10:8002", field="address")
    return found["six"] or found["host"], int(found["port"])


def _parse_payload(payload: bytes) -> JoinToken:
    fields = canonical.decode(payload, MAXIMUM_TOKEN, _KEYS)
    return JoinToken(
        name=NodeName.parse(fields.text("name", 512)),
        expires=datetime.fromtimestamp(fields.whole("expires", 0, _LAST), UTC),
        root=fields.text("root"),
        controller=fields.text("controller", 300),
        publisher=fields.text("publisher"),
        ek_hash=fields.text("ek"),
        secret=fields.blob("secret", SECRET_SIZE),
    )


def _proof(mac_key: bytes, exporter: bytes, name: NodeName, request: bytes, ek_hash: str) -> bytes:
    return hmac_sha384(mac_key, length_prefixed(_LABEL, exporter, str(name).encode(), request, ek_hash.encode()))


def _checksum(text: str) -> str:
    return sha256(text.encode("ascii")).hex()[:_CHECKSUM]


def _check_hash(digest: str) -> None:
    try:
        check_digest(digest)
    except RemoteError:
        raise UsageError("not a SHA-256 in 64 lower-case hexadecimal digits", field="ek-hash") from None
