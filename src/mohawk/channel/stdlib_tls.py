"""A look-alike of `ssl.SSLContext`, for HTTP servers and clients over the API profile (docs/spec/channel.md 5) and for
the join port (`channel.join_tls`).

asyncio and anyio never check for `ssl.SSLContext`: they call `wrap_bio` and then a handful of `ssl.SSLObject`'s
methods. That is undocumented duck typing; tests/channel/test_stdlib_tls.py runs a real asyncio server and client over
it and notices a change. Not for uvloop, which does check.

Rules, and the attack each stops:
- A client trusts exactly the roots it was given, never the system's, and compares the host name by service-identity:
  pyOpenSSL checks none.
- What was negotiated is compared with the profile before one HTTP byte passes, in both directions.
"""

from __future__ import annotations

import contextlib
import ipaddress
import ssl
from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

import service_identity
from OpenSSL import SSL
from service_identity.pyopenssl import verify_hostname, verify_ip_address

from mohawk.channel.openssl import Buffer, Pipe
from mohawk.channel.profile import (
    EXPORTER_LABEL,
    MIE_API,
    Profile,
    new_context,
    select_protocol,
    show_chain,
    trust_roots,
)
from mohawk.crypto.signing import SigningKey
from mohawk.crypto.x509 import Certificate
from mohawk.errors import HandshakeError, RemoteError

_RECORD = 1 << 14
_TAKE_BYTES = 1 << 15
"""Most ciphertext that is moved at once. Two buffers of it are held for whoever opens a connection, whoever that is."""
_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def api_server_context(chain: tuple[Certificate, ...], key: SigningKey, profile: Profile = MIE_API) -> ApiContext:
    """For an HTTPS server that shows an API leaf. Clients show no certificate. Raises UsageError."""
    context = new_context(SSL.TLS_SERVER_METHOD, profile)
    show_chain(context, chain, key)
    select_protocol(context, profile)
    return ApiContext(context, profile)


def api_client_context(roots: tuple[Certificate, ...], profile: Profile = MIE_API) -> ApiContext:
    """For an HTTPS client that trusts exactly `roots`. Raises UsageError."""
    context = new_context(SSL.TLS_CLIENT_METHOD, profile)
    trust_roots(context, roots)
    context.set_verify(SSL.VERIFY_PEER)
    return ApiContext(context, profile)


def check_host(connection: SSL.Connection, host: str) -> None:
    """Raises HandshakeError unless the server's certificate is for `host`, a name or an address."""
    verify = verify_ip_address if _is_address(host) else verify_hostname
    try:
        verify(connection, host)
    except (service_identity.VerificationError, service_identity.CertificateError):
        raise HandshakeError("the certificate is not for this host name") from None


class Transport(Protocol):
    """As much of asyncio's as is needed here."""

    def abort(self) -> None: ...


def abort(transport: Transport) -> None:
    """End a TLS connection at once, closed already or not."""
    with contextlib.suppress(AttributeError):  # Python 3.11.2: a transport that was closed has forgotten its protocol
        transport.abort()


class ApiContext:
    """What asyncio and httpx take for an `ssl.SSLContext`. `check_server` is what a client asks of a server whose chain
    OpenSSL has verified; it raises RemoteError.
    """

    verify_mode = ssl.CERT_REQUIRED
    check_hostname = True

    def __init__(
        self,
        context: SSL.Context,
        profile: Profile,
        check_server: Callable[[SSL.Connection, str], None] = check_host,
    ) -> None:
        self.profile = profile
        self.check_server = check_server
        self._context = context

    def set_alpn_protocols(self, protocols: list[str]) -> None:
        """httpx calls it at every connection, when a pyOpenSSL context is closed to changes: the profile's word
        stands.
        """

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - the signature of ssl.SSLContext
        server_hostname: str | bytes | None = None,
        session: object = None,  # noqa: ARG002 - sessions are never resumed
    ) -> ApiTls:
        host = server_hostname.decode("ascii") if isinstance(server_hostname, bytes) else server_hostname
        connection = SSL.Connection(self._context, None)
        if server_side:
            connection.set_accept_state()
            return ApiTls(self, connection, (incoming, outgoing), None)
        if not host:
            raise ValueError("a client needs the server's host name")
        if not _is_address(host):
            connection.set_tlsext_host_name(host.encode("ascii"))
        connection.set_alpn_protos([name.encode("ascii") for name in self.profile.alpn])
        connection.set_connect_state()
        return ApiTls(self, connection, (incoming, outgoing), host)


class ApiTls:
    """What asyncio and httpx take for an `ssl.SSLObject`. Raises what that raises."""

    session = None
    session_reused = False

    def __init__(
        self,
        context: ApiContext,
        connection: SSL.Connection,
        channels: tuple[ssl.MemoryBIO, ssl.MemoryBIO],
        server_hostname: str | None,
    ) -> None:
        self.context = context
        self.server_hostname = server_hostname
        self.server_side = server_hostname is None
        self._connection = connection
        self._pipe = Pipe(connection, _TAKE_BYTES)
        self._incoming, self._outgoing = channels
        self._is_checked = False

    def do_handshake(self) -> None:
        self._run(self._connection.do_handshake)
        try:
            self._check()
        except RemoteError as error:
            raise ssl.SSLCertVerificationError(1, error.message) from None
        self._is_checked = True

    def read(self, size: int = _RECORD, buffer: bytearray | memoryview | None = None) -> bytes | int:
        """Bytes, or how many went into `buffer`; nothing at the end of the stream."""
        self._require_checked()
        target = buffer if buffer is not None else bytearray(min(size, _RECORD))
        try:
            count = self._run(self._pipe.read_into, memoryview(target)[:size])
        except ssl.SSLZeroReturnError:
            return b"" if buffer is None else 0
        if count == 0:
            raise self._starved()
        return count if buffer is not None else bytes(target[:count])

    def write(self, data: Buffer) -> int:
        """All of `data`: a memory BIO takes whatever it is given."""
        self._require_checked()
        size, offset = memoryview(data).nbytes, 0
        while offset < size:
            offset += self._run(self._pipe.write, data, offset)
        return size

    def unwrap(self) -> None:
        if not self._run(self._connection.shutdown):
            raise self._starved()

    def pending(self) -> int:
        return self._connection.pending()

    def getpeercert(self, binary_form: bool = False) -> None:  # noqa: FBT001, FBT002
        """Always None: whom the peer is, the handshake has judged."""

    def version(self) -> str:
        return self._connection.get_protocol_version_name()

    def cipher(self) -> tuple[str, str, int]:
        connection = self._connection
        return connection.get_cipher_name() or "", self.version(), connection.get_cipher_bits() or 0

    def group(self) -> str:
        """The key exchange, as OpenSSL spells it: `X25519MLKEM768` is post-quantum, `x25519` is not."""
        return self._connection.get_group_name() or ""

    def exporter(self, context: bytes, length: int) -> bytes:
        """Keying material under the label EXPORTER-mie-v1 (RFC 8446 7.5), equal on both ends and nowhere else."""
        self._require_checked()
        return self._connection.export_keying_material(EXPORTER_LABEL, length, context)

    def selected_alpn_protocol(self) -> str | None:
        return self._connection.get_alpn_proto_negotiated().decode("ascii", "replace") or None

    def compression(self) -> None:
        """Always None: compression is off."""

    def shared_ciphers(self) -> None:
        """Always None: nobody needs to know."""

    def get_channel_binding(self, cb_type: str = "tls-unique") -> None:
        """Always None: TLS 1.3 has no tls-unique."""

    def _check(self) -> None:
        cipher, version, _ = self.cipher()
        self.context.profile.check(version, self.group(), cipher, self.selected_alpn_protocol() or "")
        if self.server_hostname is not None:
            self.context.check_server(self._connection, self.server_hostname)

    def _require_checked(self) -> None:
        if not self._is_checked:
            raise ssl.SSLError(1, "application data before the handshake was checked")

    def _starved(self) -> ssl.SSLError:
        if self._incoming.eof:
            return ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the connection ended without a goodbye")
        return ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "more bytes are needed")

    def _run(
        self, call: Callable[_Parameters, _Result], *given: _Parameters.args, **named: _Parameters.kwargs
    ) -> _Result:
        """One OpenSSL call between what came in and what goes out; its errors as the standard library spells them."""
        while self._incoming.pending:
            self._pipe.put(self._incoming.read(_RECORD))
        try:
            return call(*given, **named)
        except SSL.WantReadError:
            raise self._starved() from None
        except SSL.ZeroReturnError:
            raise ssl.SSLZeroReturnError(ssl.SSL_ERROR_ZERO_RETURN, "closed") from None
        except SSL.SysCallError:
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the connection ended without a goodbye") from None
        except (SSL.Error, HandshakeError):
            raise ssl.SSLError(1, "the TLS connection failed") from None
        finally:
            self._move_out()

    def _move_out(self) -> None:
        """All that waits for the peer: what does not fill a take is the last of it."""
        while data := self._pipe.take():
            self._outgoing.write(data)
            if len(data) < _TAKE_BYTES:
                return


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
