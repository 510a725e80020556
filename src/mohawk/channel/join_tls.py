"""TLS of the join port: a controller that shows its whole chain, and a machine that knows one root's pin and no more
(docs/spec/identity.md 9).

Rules, and the attack each stops:
- The pin comes first: OpenSSL asks about the chain's root before it looks at anything else, and a root of another key
  ends the handshake (a controller of another domain, or nobody's, at the token's address).
- Nothing else is forgiven: OpenSSL then verifies every signature, date and usage below that root, and `identity` does
  so again, with the built-in certificate policy.
- The leaf must be a controller of the token's domain: a worker of the same domain cannot hand out identities.
- All of that is over before one byte of ours leaves.
"""

from __future__ import annotations

from datetime import datetime

from OpenSSL import SSL, crypto

from mohawk.channel.profile import MIE_JOIN, new_context, select_protocol, show_chain
from mohawk.channel.stdlib_tls import ApiContext
from mohawk.channel.verdicts import SELF_SIGNED_ROOT, openssl_refusal
from mohawk.crypto import x509
from mohawk.crypto.x509 import Certificate
from mohawk.errors import RemoteError
from mohawk.identity.certificates import PeerIdentity, check_peer, expect
from mohawk.identity.credentials import NodeCredentials
from mohawk.identity.names import Role
from mohawk.identity.policy import BUILT_IN


def join_server_context(credentials: NodeCredentials) -> ApiContext:
    """For a controller's join port: leaf, issuing authority and root are shown, nothing is asked of the client.

    Raises UsageError.
    """
    context = new_context(SSL.TLS_SERVER_METHOD, MIE_JOIN)
    show_chain(context, (*credentials.chain, credentials.root), credentials.key)
    select_protocol(context, MIE_JOIN)
    return ApiContext(context, MIE_JOIN)


class ExpectedController:
    """The controller that a join token names, for one connection at `now`. After the handshake `peer` and `root` say
    who answered; after a refusal `refusal` says why not.
    """

    def __init__(self, root_pin: str, domain: str, now: datetime) -> None:
        self._pins = frozenset({root_pin})
        self._domain = domain
        self._now = now
        self.peer: PeerIdentity | None = None
        self.root: Certificate | None = None
        self.refusal: RemoteError | None = None

    def context(self) -> ApiContext:
        """For the joiner's end. Raises UsageError."""
        context = new_context(SSL.TLS_CLIENT_METHOD, MIE_JOIN)
        store = context.get_cert_store()
        assert store is not None  # every context that OpenSSL makes has one; this one stays empty
        store.set_flags(crypto.X509StoreFlags.X509_STRICT)
        context.set_verify(SSL.VERIFY_PEER, self._judge_verdict)
        return ApiContext(context, MIE_JOIN, self._judge_server)

    def _judge_verdict(
        self, _connection: SSL.Connection, certificate: crypto.X509, verdict: int, _depth: int, ok: int
    ) -> bool:
        """OpenSSL's verdict stands, but for the one root that the token pins."""
        try:
            if ok or (verdict == SELF_SIGNED_ROOT and _facts(certificate).pin in self._pins):
                return True
            raise openssl_refusal(verdict)
        except RemoteError as error:
            self.refusal = self.refusal or error
            return False

    def _judge_server(self, connection: SSL.Connection, _host: str) -> None:
        """Every rule once more. Raises IdentityRefusedError, which `refusal` keeps."""
        try:
            chain = [_facts(one) for one in connection.get_verified_chain() or []]
            peer = expect(check_peer(chain, self._now, self._pins, self._domain), (Role.CONTROLLER,))
            BUILT_IN.check_chain(chain)
        except RemoteError as error:
            self.refusal = error
            raise
        self.peer, self.root = peer, chain[2]


def _facts(certificate: crypto.X509) -> Certificate:
    """Raises IdentityError, whatever OpenSSL was content with."""
    return x509.parse_der(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate))
