"""A profile reaches OpenSSL whole or the process does not start."""

from __future__ import annotations

from dataclasses import replace

import pytest
from OpenSSL import SSL

from mohawk.channel.profile import MIE_API, MIE_DEFAULT, NodeContext, new_context
from mohawk.errors import HandshakeError, UsageError
from tests.support.tls import Mesh


def test_the_node_profile_has_no_second_choice() -> None:
    assert MIE_DEFAULT.groups == ("X25519MLKEM768",)
    assert MIE_DEFAULT.suites == ("TLS_CHACHA20_POLY1305_SHA256",)
    assert MIE_DEFAULT.signature_algorithms == ("ecdsa_secp384r1_sha384",)
    assert MIE_DEFAULT.version == "TLSv1.3"
    assert MIE_DEFAULT.alpn_required


def test_the_api_can_drop_its_classical_group() -> None:
    assert MIE_API.groups == ("X25519MLKEM768", "X25519")
    assert MIE_API.require_post_quantum().groups == ("X25519MLKEM768",)


@pytest.mark.parametrize("field", ["suites", "signature_algorithms"])
def test_an_unknown_suite_or_signature_does_not_start(field: str) -> None:
    with pytest.raises(UsageError):
        new_context(SSL.TLS_SERVER_METHOD, replace(MIE_DEFAULT, **{field: ("NO_SUCH_THING",)}))


@pytest.mark.parametrize(
    ("version", "group", "suite", "alpn"),
    [
        ("TLSv1.2", "X25519MLKEM768", "TLS_CHACHA20_POLY1305_SHA256", "mie/1"),
        ("TLSv1.3", "x25519", "TLS_CHACHA20_POLY1305_SHA256", "mie/1"),
        ("TLSv1.3", "x25519mlkem768", "TLS_CHACHA20_POLY1305_SHA256", "mie/1"),
        ("TLSv1.3", "", "TLS_CHACHA20_POLY1305_SHA256", "mie/1"),
        ("TLSv1.3", "X25519MLKEM768", "TLS_AES_256_GCM_SHA384", "mie/1"),
        ("TLSv1.3", "X25519MLKEM768", "TLS_CHACHA20_POLY1305_SHA256", ""),
        ("TLSv1.3", "X25519MLKEM768", "TLS_CHACHA20_POLY1305_SHA256", "mie/10"),
    ],
)
def test_what_was_negotiated_is_compared_exactly(version: str, group: str, suite: str, alpn: str) -> None:
    MIE_DEFAULT.check("TLSv1.3", "X25519MLKEM768", "TLS_CHACHA20_POLY1305_SHA256", "mie/1")
    with pytest.raises(HandshakeError):
        MIE_DEFAULT.check(version, group, suite, alpn)


def test_the_api_knows_the_classical_group_by_openssls_spelling() -> None:
    MIE_API.check("TLSv1.3", "x25519", "TLS_AES_256_GCM_SHA384", "")
    with pytest.raises(HandshakeError):
        MIE_API.require_post_quantum().check("TLSv1.3", "x25519", "TLS_AES_256_GCM_SHA384", "")


def test_a_context_trusts_the_roots_of_its_credentials_and_no_other() -> None:
    mesh = Mesh()
    context = NodeContext(mesh.credentials())
    assert context.standing.roots.pins == {mesh.root.certificate.pin}
    assert context.domain == mesh.domain
    for one in (context.server, context.client):
        assert one.get_verify_mode() == SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
        assert one.get_session_cache_mode() == SSL.SESS_CACHE_OFF
