"""The only file that reaches below pyOpenSSL's public face, so that a new release can break one file only.

Why at all: pyOpenSSL offers no call for group and signature lists, and its `recv_into`, `send` and `bio_read` each
allocate and copy once more than needed. tests/channel/test_openssl.py notices when a private name moves.
"""

from __future__ import annotations

from OpenSSL import SSL
from OpenSSL._util import ffi, lib

from mohawk.errors import UsageError

Buffer = bytes | bytearray | memoryview

TAKE_BYTES = 1 << 18
"""Most bytes that one `take` returns."""


def set_groups(context: SSL.Context, names: str) -> None:
    """The only groups that `context` will offer or accept. Raises UsageError when OpenSSL does not know one (H28)."""
    if not names or lib.SSL_CTX_set1_curves_list(context._context, names.encode("ascii")) != 1:
        lib.ERR_clear_error()
        raise UsageError("OpenSSL knows no such key-exchange group", hint="install cryptography>=50")


def set_signature_algorithms(context: SSL.Context, names: str) -> None:
    """The only signatures that `context` will make or accept. Raises UsageError when OpenSSL does not know one."""
    if not names or lib.SSL_CTX_set1_sigalgs_list(context._context, names.encode("ascii")) != 1:
        lib.ERR_clear_error()
        raise UsageError("OpenSSL knows no such signature algorithm")


def is_resumed(connection: SSL.Connection) -> bool:
    """Whether the handshake skipped the certificates because of an earlier session."""
    return bool(lib.SSL_session_reused(connection._ssl))


class Pipe:
    """The byte paths of one memory-BIO connection, without needless copies. Not safe for two threads.

    `put` and `take` move ciphertext, `read_into` and `write` move plaintext. Errors are pyOpenSSL's own.

    Danger: a `from_buffer` of a memoryview must not outlive its call, not even in the frames of a traceback: CPython
    3.11 crashes when such a pair falls to the garbage collector, and a peer's alert would be enough to make one. Hence
    `with`, which releases it on every way out.
    """

    __slots__ = ("_connection", "_incoming", "_into", "_out", "_outgoing", "_size", "_ssl", "room")

    def __init__(self, connection: SSL.Connection, size: int = TAKE_BYTES) -> None:
        self._connection = connection
        self._ssl = connection._ssl
        self._into = connection._into_ssl
        self._out = connection._from_ssl
        self._size = size
        self._outgoing = ffi.new("char[]", size)
        self._incoming = ffi.new("char[]", size)
        self.room = memoryview(ffi.buffer(self._incoming))
        """`size` bytes for a pump to receive into, before `put_room`."""

    def put(self, ciphertext: Buffer) -> None:
        """Bytes from the peer."""
        with ffi.from_buffer(ciphertext) as data:
            self._put(data, len(data))

    def put_room(self, count: int) -> None:
        """The first `count` bytes of `room` are from the peer."""
        self._put(self._incoming, count)

    def _put(self, data: object, count: int) -> None:
        if count and lib.BIO_write(self._into, data, count) != count:
            raise MemoryError("OpenSSL could not hold the received bytes")

    def take(self) -> bytes:
        """Bytes for the peer, at most `size`; empty when there are none."""
        count = lib.BIO_read(self._out, self._outgoing, self._size)
        return bytes(ffi.buffer(self._outgoing, count)) if count > 0 else b""

    def read_into(self, target: Buffer) -> int:
        """Plaintext into `target`: how many bytes, 0 when none is there yet. Raises SSL.ZeroReturnError at
        close_notify.
        """
        with ffi.from_buffer("char[]", target, True) as view:  # noqa: FBT003 - require_writable; a keyword costs more
            count: int = lib.SSL_read(self._ssl, view, len(view))
        if count > 0:
            return count
        if lib.SSL_get_error(self._ssl, count) == lib.SSL_ERROR_WANT_READ:
            return 0
        self._connection._raise_ssl_error(self._ssl, count)
        return 0

    def is_drained(self) -> bool:
        """Whether every received byte has been read by OpenSSL, which reads no further ahead than one record. Cheaper
        than a read that finds nothing, if the last one did not fill its target.
        """
        return bool(lib.BIO_get_mem_data(self._into, ffi.NULL) == 0)

    def write(self, plaintext: Buffer, offset: int) -> int:
        """`plaintext` from `offset` into at most one record: how many bytes it took."""
        with ffi.from_buffer(plaintext) as view:
            count: int = lib.SSL_write(self._ssl, view + offset, len(view) - offset)
        if count <= 0:
            self._connection._raise_ssl_error(self._ssl, count)
        return count
