"""The TLS profiles: what may be negotiated, and what is asserted afterwards (docs/spec/channel.md 1).

Rules, and the attack each stops:
- A profile is a value that configuration names, never something that a peer negotiates (downgrade; H01-H04).
- Node profile: one version, one group, one suite, one signature algorithm. There is nothing weaker to fall back to.
- Every list goes to OpenSSL with its return value checked: an ignored failure leaves OpenSSL's defaults in force (H28).
- Tickets, session cache, compression, renegotiation and early data are off: resumption would skip the certificates,
  hence revocation; early data can be replayed (H24).
- Trust is the roots of the credentials. The system's roots are never loaded (H17).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from OpenSSL import SSL, crypto

from mohawk.channel import openssl
from mohawk.crypto.signing import SigningKey
from mohawk.crypto.x509 import Certificate
from mohawk.errors import HandshakeError, MohawkError, UsageError
from mohawk.identity.credentials import NodeCredentials
from mohawk.identity.names import NodeName
from mohawk.identity.policy import BUILT_IN, CertificatePolicy
from mohawk.identity.standing import Standing

POST_QUANTUM_GROUP = "X25519MLKEM768"
EXPORTER_LABEL = b"EXPORTER-mie-v1"
"""Of keying material that binds something to one connection (RFC 8446 7.5)."""
_REPORTED = {"X25519": "x25519"}
"""OpenSSL reports some groups in another case than it takes them; comparison is exact."""
_WORD = re.compile(r"[A-Za-z0-9_]+", re.ASCII)
_OPTIONS = SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION


@dataclass(frozen=True, slots=True)
class Profile:
    """What both ends will do, in OpenSSL's words. Raises UsageError: an empty list, or a word that is not plain.

    OpenSSL's list syntax has operators (`?` ignores an unknown group, `-` removes one, DEFAULT brings all in): a plain
    word cannot hold them.
    """

    name: str
    version: str
    groups: tuple[str, ...]
    suites: tuple[str, ...]
    signature_algorithms: tuple[str, ...]
    alpn: tuple[str, ...]
    """Accepted protocols, the preferred one first."""
    alpn_required: bool

    def __post_init__(self) -> None:
        for words in (self.groups, self.suites, self.signature_algorithms):
            if not words or not all(_WORD.fullmatch(word) and word.upper() != "DEFAULT" for word in words):
                raise UsageError(f"the TLS profile {self.name} holds an empty list or an unknown word")

    def require_post_quantum(self) -> Profile:
        """The same profile without classical groups."""
        return replace(self, groups=(POST_QUANTUM_GROUP,))

    def check(self, version: str, group: str, suite: str, alpn: str) -> None:
        """What a handshake ended with is what this profile allows, exactly. Raises HandshakeError."""
        groups = {_REPORTED.get(group, group) for group in self.groups}
        if version != self.version:
            raise HandshakeError("the handshake ended with another TLS version than the profile's")
        if group not in groups:
            raise HandshakeError("the handshake ended with another key exchange than the profile's")
        if suite not in self.suites:
            raise HandshakeError("the handshake ended with another cipher suite than the profile's")
        if alpn not in self.alpn and (self.alpn_required or alpn):
            raise HandshakeError("the peer does not speak this protocol", hint="is this the right port?")


MIE_DEFAULT = Profile(
    name="mie-default",
    version="TLSv1.3",
    groups=(POST_QUANTUM_GROUP,),
    suites=("TLS_CHACHA20_POLY1305_SHA256",),
    signature_algorithms=("ecdsa_secp384r1_sha384",),
    alpn=("mie/1",),
    alpn_required=True,
)
"""Between nodes."""

MIE_JOIN = replace(MIE_DEFAULT, name="mie-join", alpn=("mie-join/1",))
"""For a node that has no certificate yet: as between nodes, but only the server shows who it is."""

MIE_API = Profile(
    name="mie-api",
    version="TLSv1.3",
    groups=(POST_QUANTUM_GROUP, "X25519"),
    suites=("TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_256_GCM_SHA384"),
    signature_algorithms=("ecdsa_secp384r1_sha384",),
    alpn=("http/1.1",),
    alpn_required=False,
)
"""The public API: post-quantum where the client can."""


OnRefusal = Callable[[str, MohawkError, NodeName | None], None]
"""Told the peer's address, why, and who it is where that was proven."""


class NodeContext:
    """The two OpenSSL contexts of one node, and what it judges others by.

    Raises UsageError: a profile that this OpenSSL cannot keep.

    Both directions are mutual: each end shows its chain and demands the other's. Without a `standing` that has learnt a
    deny-list nobody is let in.
    """

    __slots__ = (
        "client",
        "credentials",
        "domain",
        "on_cut",
        "on_refused",
        "policy",
        "profile",
        "server",
        "standing",
    )

    def __init__(
        self,
        credentials: NodeCredentials,
        profile: Profile = MIE_DEFAULT,
        standing: Standing | None = None,
        policy: CertificatePolicy = BUILT_IN,
    ) -> None:
        self.profile = profile
        self.policy = policy
        self.domain = credentials.domain
        self.standing = standing or Standing(credentials.root_set, credentials.domain)
        self.on_refused: OnRefusal = _nothing
        """A connection ended before it was established (one that came in, or one whose listener we did not accept), or
        because its peer asked what its role may not."""
        self.on_cut: OnRefusal = _nothing
        """An established connection ended because of who its peer is: revoked, or expired."""
        self.renew(credentials)

    def renew(self, credentials: NodeCredentials) -> None:
        """New connections use these credentials and the roots of `standing`; those that are open stay as they are."""
        self.credentials = credentials
        self.server = self._build(SSL.TLS_SERVER_METHOD)
        self.client = self._build(SSL.TLS_CLIENT_METHOD)
        select_protocol(self.server, self.profile)
        self.client.set_alpn_protos([name.encode("ascii") for name in self.profile.alpn])

    def _build(self, method: int) -> SSL.Context:
        context = new_context(method, self.profile)
        show_chain(context, self.credentials.chain, self.credentials.key)
        trust_roots(context, self.standing.roots.roots)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _remember_refusal)
        return context


def _nothing(_source: str, _error: MohawkError, _peer: NodeName | None) -> None:
    """Nobody asked to know."""


def new_context(method: int, profile: Profile) -> SSL.Context:
    """An OpenSSL context that keeps `profile` and trusts nobody yet. Raises UsageError."""
    context = SSL.Context(method)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_max_proto_version(SSL.TLS1_3_VERSION)
    context.set_options(_OPTIONS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    openssl.set_groups(context, ":".join(profile.groups))
    openssl.set_signature_algorithms(context, ":".join(profile.signature_algorithms))
    try:
        context.set_tls13_ciphersuites(":".join(profile.suites).encode("ascii"))
    except SSL.Error:
        raise UsageError("OpenSSL knows no such cipher suite") from None
    return context


def select_protocol(server: SSL.Context, profile: Profile) -> None:
    """The server's choice of application protocol. A client that offers others only is refused with the alert
    no_application_protocol: pyOpenSSL's sentinel for "none fits" would let the handshake go on without one (H25).
    """

    def select(_connection: SSL.Connection, offered: list[bytes]) -> bytes:
        for name in profile.alpn:
            if name.encode("ascii") in offered:
                return name.encode("ascii")
        raise HandshakeError("the peer does not speak this protocol", hint="is this the right port?")

    server.set_alpn_select_callback(select)


def show_chain(context: SSL.Context, chain: tuple[Certificate, ...], key: SigningKey) -> None:
    """What this end proves itself with: leaf, then its issuer. Raises UsageError when the key is not the leaf's."""
    leaf, *issuers = chain
    try:
        context.use_certificate(leaf.native)
        for issuer in issuers:
            context.add_extra_chain_cert(issuer.native)
        context.use_privatekey(key.private)
        context.check_privatekey()
    except SSL.Error:
        raise UsageError("a certificate and a key that OpenSSL does not take together") from None


def trust_roots(context: SSL.Context, roots: tuple[Certificate, ...]) -> None:
    """Trust exactly `roots`; OpenSSL's default locations stay unread."""
    store = context.get_cert_store()
    assert store is not None  # every context that OpenSSL makes has one
    for root in roots:
        store.add_cert(crypto.X509.from_cryptography(root.native))
    store.set_flags(crypto.X509StoreFlags.X509_STRICT)  # refuse what RFC 5280 forbids and OpenSSL forgives


def _remember_refusal(connection: SSL.Connection, _certificate: crypto.X509, error: int, _depth: int, ok: int) -> bool:
    """OpenSSL's own verdict stands; its first reason is kept so that the error can name it."""
    if not ok and connection.get_app_data() is None:
        connection.set_app_data(error)
    return bool(ok)
