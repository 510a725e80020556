"""Who may join and who has: an authority's open tokens, and the nodes that came in by one (docs/spec/identity.md 9).

One file in the authority's folder, 0600, changed under its lock, and read anew when it changed: ten thousand nodes take
a tenth of a second, which no stranger at the join port may cost us (D16). Of a token it keeps the key of the proof, not
the secret; that a token was used is the nonce guard's to know (`host.nonce_file`), which survives what this file does
not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from mohawk.audit.events import AuditEvent, EventKind, RecordEvent
from mohawk.channel.nonces import NonceGuard, nonce_capacity
from mohawk.crypto import canonical
from mohawk.errors import ArtifactError, HostError, IdentityError, UsageError
from mohawk.host.authority import AuthorityFolder
from mohawk.host.files import read_file, write_file
from mohawk.host.nonce_file import open_nonce_guard, read_uses
from mohawk.host.parsed_file import ParsedFile
from mohawk.identity.join_token import ID_SIZE, LIFETIME, PROOF_SIZE, JoinToken, OpenToken
from mohawk.identity.names import NodeName, Role

MAXIMUM_TOKENS = 1000
MAXIMUM_NODES = 10_000
_MAXIMUM_BOOK = 8 << 20
_PER_MINUTE = 10
"""Joins of one name: more are a fault, or an attack by who can issue tokens."""
_LAST = 253_402_300_799
_TOKEN_KEYS = ("ek", "expires", "id", "issued", "key", "name")
_NODE_KEYS = ("ek", "joined", "name", "serial")


@dataclass(frozen=True, slots=True)
class JoinedNode:
    """A node that came in by a token. `ek_hash`: the TPM that its token was bound to; empty when to none. `serial`: of
    its first certificate, in hexadecimal.
    """

    name: NodeName
    joined: datetime
    ek_hash: str
    serial: str


@dataclass(frozen=True, slots=True)
class _Book:
    tokens: tuple[OpenToken, ...] = ()
    nodes: tuple[JoinedNode, ...] = ()


class JoinBook:
    """Several processes may hold one: an operator's commands and the controller."""

    def __init__(self, authority: AuthorityFolder) -> None:
        self._authority = authority
        self._path = authority.folder / "joins.json"
        self._nonces = authority.folder / "joins.nonces"
        self._book = ParsedFile(self._path, self._parse)

    def issue(
        self, role: Role, name: str, controller: str, now: datetime, record: RecordEvent, ek_hash: str = ""
    ) -> JoinToken:
        """A fresh token for the node `name`; `controller`: host:port of the join port.

        Raises UsageError (no such name, address or hash; too many tokens are open), HostError.
        """
        authority, second = self._authority, now.astimezone(UTC).replace(microsecond=0)
        root = authority.root_above(authority.issuing_certificate())
        node = NodeName(authority.domain, role, name)
        token = JoinToken(node, second + LIFETIME, root.pin, controller, authority.pins().digest(), ek_hash)
        with authority.locked():
            book = self._book.read()
            tokens = tuple(one for one in book.tokens if one.expires >= now)
            if len(tokens) >= MAXIMUM_TOKENS:
                raise UsageError("too many join tokens are open", hint="wait until some have expired (10 minutes)")
            record(AuditEvent(EventKind.TOKEN_ISSUED, str(node), {"token": token.id.hex(), "ek": ek_hash}))
            self._write(_Book((*tokens, token.opened(second)), book.nodes))
        return token

    def find(self, token_id: bytes) -> OpenToken | None:
        """The token of this id, whether it has expired, was used or not; None when there was none lately."""
        return next((one for one in self._book.read().tokens if one.id == token_id), None)

    def joined(self, node: JoinedNode) -> None:
        """`node` came in; what was known of an earlier one of its name is forgotten. Raises HostError."""
        with self._authority.locked():
            book = self._book.read()
            others = tuple(one for one in book.nodes if one.name != node.name)
            if len(others) >= MAXIMUM_NODES:
                raise HostError("the authority's book of joins is full", hint=f"it holds {MAXIMUM_NODES} nodes")
            self._write(_Book(book.tokens, (*others, node)))

    def open_tokens(self, now: datetime) -> tuple[OpenToken, ...]:
        """Those that would still be taken."""
        used = {(use.principal, use.nonce) for use in read_uses(self._nonces)}
        return tuple(
            one for one in self._book.read().tokens if one.expires >= now and (str(one.name), one.id) not in used
        )

    def nodes(self) -> tuple[JoinedNode, ...]:
        return self._book.read().nodes

    def guard(self, now: datetime) -> NonceGuard:
        """For the controller alone: the memory of used tokens, across restarts. Raises HostError."""
        return open_nonce_guard(self._nonces, nonce_capacity(_PER_MINUTE, LIFETIME), now)

    def _parse(self) -> _Book:
        if not self._path.exists():
            return _Book()
        try:
            data = read_file(self._path, _MAXIMUM_BOOK, private=True)
            fields = canonical.decode(data, _MAXIMUM_BOOK, ("nodes", "tokens"))
            tokens = tuple(map(_parse_token, fields.items("tokens", MAXIMUM_TOKENS, _TOKEN_KEYS)))
            return _Book(tokens, tuple(map(_parse_node, fields.items("nodes", MAXIMUM_NODES, _NODE_KEYS))))
        except (ArtifactError, IdentityError):
            raise HostError("the authority's book of joins cannot be read", hint="restore joins.json") from None

    def _write(self, book: _Book) -> None:
        tokens: list[canonical.Json] = [
            {
                "ek": one.ek_hash,
                "expires": int(one.expires.timestamp()),
                "id": one.id,
                "issued": int(one.issued.timestamp()),
                "key": one.mac_key,
                "name": str(one.name),
            }
            for one in book.tokens
        ]
        nodes: list[canonical.Json] = [
            {"ek": one.ek_hash, "joined": int(one.joined.timestamp()), "name": str(one.name), "serial": one.serial}
            for one in book.nodes
        ]
        write_file(self._path, canonical.encode({"nodes": nodes, "tokens": tokens}))


def _parse_token(fields: canonical.Fields) -> OpenToken:
    return OpenToken(
        id=fields.blob("id", ID_SIZE),
        name=NodeName.parse(fields.text("name", 512)),
        issued=_time(fields, "issued"),
        expires=_time(fields, "expires"),
        ek_hash=fields.text("ek"),
        mac_key=fields.blob("key", PROOF_SIZE),
    )


def _parse_node(fields: canonical.Fields) -> JoinedNode:
    name = NodeName.parse(fields.text("name", 512))
    return JoinedNode(name, _time(fields, "joined"), fields.text("ek"), fields.text("serial"))


def _time(fields: canonical.Fields, key: str) -> datetime:
    return datetime.fromtimestamp(fields.whole(key, 0, _LAST), UTC)
