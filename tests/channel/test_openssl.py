"""Notices when a pyOpenSSL release moves a private name that we rest on, or when its meaning changes."""

from __future__ import annotations

import pytest
from OpenSSL import SSL
from OpenSSL._util import ffi, lib

from mohawk.channel import openssl
from mohawk.errors import UsageError

NAMES = (
    "SSL_CTX_set1_curves_list",
    "SSL_CTX_set1_sigalgs_list",
    "SSL_session_reused",
    "SSL_read",
    "SSL_write",
    "SSL_get_error",
    "BIO_read",
    "BIO_write",
    "BIO_get_mem_data",
    "ERR_clear_error",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_library_still_has_what_we_call(name: str) -> None:
    assert callable(getattr(lib, name))
    assert callable(ffi.from_buffer)


def test_a_connection_still_shows_its_parts() -> None:
    connection = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    assert {"_ssl", "_into_ssl", "_from_ssl"} <= vars(connection).keys()
    assert callable(connection._raise_ssl_error)


def test_lists_are_refused_aloud() -> None:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    for bad in ("", "NOPE", "X25519:NOPE"):
        with pytest.raises(UsageError):
            openssl.set_groups(context, bad)
        with pytest.raises(UsageError):
            openssl.set_signature_algorithms(context, bad)
    openssl.set_groups(context, "X25519MLKEM768")


def test_a_pipe_carries_a_handshakes_first_flight() -> None:
    client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    client.set_connect_state()
    pipe = openssl.Pipe(client)
    assert pipe.take() == b""
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    assert pipe.take()[:1] == b"\x16"
    assert pipe.take() == b""
    assert pipe.read_into(bytearray(10)) == 0


def test_plaintext_is_not_written_into_what_cannot_hold_it() -> None:
    client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    client.set_connect_state()
    with pytest.raises((BufferError, ValueError, TypeError)):
        openssl.Pipe(client).read_into(b"a constant")
