"""One TLS connection over memory: bytes in, bytes out, no socket, no clock (docs/spec/channel.md 2).

Rules, and the attack each stops:
- Not one plaintext byte is given out, or taken, before version, group, suite, protocol and the peer's identity were
  checked against the profile (H01-H17). `read_into` and `send` raise until then, so that no caller can forget.
- At most 16 KiB are taken from a peer that makes no progress in its handshake (H21, D02).
- The first error is the last: afterwards every call raises. An authentication failure of a record never gets a second
  try (R01, R04).
- In TLS 1.3 the client's handshake ends before the server has judged it. `session` on the client therefore says who
  the server is, not that it accepted us: wait for its first message (H05).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from OpenSSL import SSL

from mohawk.channel import record
from mohawk.channel.openssl import TAKE_BYTES, Buffer, Pipe
from mohawk.channel.profile import EXPORTER_LABEL, NodeContext
from mohawk.channel.verdicts import openssl_refusal
from mohawk.crypto import x509
from mohawk.errors import HandshakeError, RemoteError
from mohawk.identity.certificates import PeerIdentity, check_peer
from mohawk.identity.names import NodeName

MAXIMUM_HELLO = 16 * 1024
_FLUSH_BYTES = TAKE_BYTES - (2 << 14)
"""Plaintext after which ciphertext is handed on: one more record and all overheads still fit one `take`."""


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What was negotiated, and with whom; every field has been checked."""

    version: str
    group: str
    suite: str
    alpn: str
    peer: PeerIdentity
    not_after: datetime
    """When the first of the two ends' certificates expires: the connection must end by then."""
    exporter: Callable[[bytes, int], bytes] = field(repr=False, compare=False)
    """(context, length) -> keying material under the label EXPORTER-mie-v1 (RFC 8446 7.5), equal on both ends."""
    record_secret: Callable[[bytes], bytes] = field(repr=False, compare=False)
    """context -> 48 bytes for `channel.record`, under a label of its own."""
    profile: str
    own_name: NodeName
    own_leaf: str
    """SHA-256 of the certificate that this end showed, in hexadecimal."""
    sign: Callable[[bytes], bytes] = field(repr=False, compare=False)
    """By the key of that certificate, whatever this node has been renewed to since: the peer verifies with what it was
    shown.
    """


class TlsConnection:
    """One end of one connection. One owner: not safe for a reader and a writer in two threads.

    `judge` sees the peer's identity before the handshake counts as done and raises to refuse it.
    """

    __slots__ = (
        "_connection",
        "_context",
        "_failed",
        "_fresh",
        "_heard",
        "_is_server",
        "_judge",
        "_own",
        "_pipe",
        "ended",
        "session",
    )

    def __init__(self, context: NodeContext, judge: Callable[[PeerIdentity], object], *, is_server: bool) -> None:
        self._context = context
        self._judge = judge
        self._own = context.credentials  # those shown here, whatever the context is renewed to
        self._is_server = is_server
        self._connection = SSL.Connection(context.server if is_server else context.client, None)
        if is_server:
            self._connection.set_accept_state()
        else:
            self._connection.set_connect_state()
        self._pipe = Pipe(self._connection)
        self._failed: RemoteError | None = None
        self._fresh = 0
        """Handshake bytes received since the handshake last had something to answer."""
        self._heard = False
        self.session: SessionInfo | None = None
        self.ended = False
        """The peer said goodbye (close_notify): what was received is all there is."""

    @property
    def context(self) -> NodeContext:
        """The node's whose end this is."""
        return self._context

    def receive(self, data: Buffer) -> None:
        """Bytes from the network. Raises HandshakeError when a handshake is too long."""
        if self.session is None:
            self._check_hello(len(data))
        self._pipe.put(data)

    @property
    def room(self) -> memoryview:
        """256 KiB to receive into without a copy; then say `received`."""
        return self._pipe.room

    def received(self, count: int) -> None:
        """`receive` of the first `count` bytes of `room`."""
        if self.session is None:
            self._check_hello(count)
        self._pipe.put_room(count)

    def outgoing(self) -> bytes:
        """Bytes for the network, at most 256 KiB a call; empty when there are none. Also after an error: the alert."""
        data = self._pipe.take()
        if data:
            self._fresh = 0
        return data

    def handshake(self, now: datetime) -> SessionInfo | None:
        """Go on with the handshake; the session once it is done and everything was checked at `now`.

        Raises HandshakeError or IdentityError.
        """
        self._raise_failed()
        if self.session is None:
            try:
                self._connection.do_handshake()
                self.session = self._settle(now)
            except SSL.WantReadError:
                return None
            except SSL.Error as error:
                raise self._fail(self._refusal(error)) from None
            except RemoteError as error:
                raise self._fail(error) from None
        return self.session

    def read_into(self, target: Buffer) -> int:
        """Plaintext into `target`: how many bytes; 0 when none is there yet, or no more will come (`ended`).

        Raises RemoteError: a record that does not authenticate, or the server's refusal of our certificate.
        """
        if self.session is None or self._failed is not None:
            raise self._failed or HandshakeError("application data before the handshake was checked")
        try:
            count = self._pipe.read_into(target)
        except SSL.ZeroReturnError:
            self.ended = True
            return 0
        except SSL.Error as error:
            raise self._fail(self._broken(error)) from None
        if count:
            self._heard = True
        return count

    def is_drained(self) -> bool:
        """After a read that did not fill its target: nothing is left to read."""
        return self._pipe.is_drained()

    def send(self, buffers: tuple[Buffer, ...], write: Callable[[bytes], object]) -> None:
        """Encrypt `buffers` in order and hand the ciphertext to `write`, at the latest every 256 KiB.

        Raises HandshakeError before the handshake was checked.
        """
        if self.session is None or self._failed is not None:
            raise self._failed or HandshakeError("application data before the handshake was checked")
        pipe, pending = self._pipe, 0
        for buffer in buffers:
            size, offset = memoryview(buffer).nbytes, 0
            while offset < size:
                taken = pipe.write(buffer, offset)  # one record at most: partial writes are on
                offset += taken
                pending += taken
                if pending >= _FLUSH_BYTES:
                    write(pipe.take())
                    pending = 0
        if pending:
            write(pipe.take())

    def close(self) -> None:
        """Say goodbye (close_notify); `outgoing` then holds it. Harmless after an error."""
        if self.session is not None and self._failed is None:
            self._connection.shutdown()

    def _settle(self, now: datetime) -> SessionInfo:
        """Every check of the profile and of the peer; OpenSSL's word alone is not taken for any of them."""
        connection, profile = self._connection, self._context.profile
        version = connection.get_protocol_version_name()
        group = connection.get_group_name() or ""
        suite = connection.get_cipher_name() or ""
        alpn = connection.get_alpn_proto_negotiated().decode("ascii", "replace")
        profile.check(version, group, suite, alpn)
        chain = connection.get_verified_chain(as_cryptography=True) or []
        facts = [x509.from_native(certificate) for certificate in chain]
        peer = check_peer(facts, now, self._context.standing.roots.pins, self._context.domain)
        self._context.policy.check_chain(facts)
        self._context.policy.check_group(group)
        self._context.standing.refuse(peer)
        self._judge(peer)
        own_leaf, key = self._own.chain[0], self._own.key
        return SessionInfo(
            version,
            group,
            suite,
            alpn,
            peer,
            min(peer.not_after, own_leaf.not_after),
            self._export,
            self._record_secret,
            profile.name,
            self._own.name,
            own_leaf.digest,
            key.sign,
        )

    def _export(self, context: bytes, length: int) -> bytes:
        return self._connection.export_keying_material(EXPORTER_LABEL, length, context)

    def _record_secret(self, context: bytes) -> bytes:
        return self._connection.export_keying_material(record.EXPORTER_LABEL, record.SECRET_SIZE, context)

    def _check_hello(self, length: int) -> None:
        self._raise_failed()
        self._fresh += length
        if self._fresh > MAXIMUM_HELLO:
            raise self._fail(HandshakeError("a handshake message larger than 16 KiB"))

    def _refusal(self, error: SSL.Error) -> RemoteError:
        verdict = self._connection.get_app_data()
        if verdict is not None:
            return openssl_refusal(verdict)
        return HandshakeError(f"the TLS handshake failed ({_words(error)})")

    def _broken(self, error: SSL.Error) -> RemoteError:
        """Before the first byte of a client's server: the alert that answers our certificate."""
        if not self._heard:
            return HandshakeError(f"the peer ended the handshake ({_words(error)})", hint="the peer's log says why")
        return RemoteError(f"a TLS record that does not authenticate, or an alert ({_words(error)})")

    def _fail(self, error: RemoteError) -> RemoteError:
        self._failed = error
        return error

    def _raise_failed(self) -> None:
        if self._failed is not None:
            raise self._failed


def _words(error: SSL.Error) -> str:
    """OpenSSL's own name of an error: words of a table, never a peer's bytes."""
    try:
        return str(error.args[0][-1][2]) or "unknown error"
    except (IndexError, TypeError):
        return "the connection ended"
