"""H09: a leaf for servers only is used as a client's.

Expected: rejected.
Defence: OpenSSL's purpose check and identity/certificates.py:_check_leaf (both purposes); removed, bytes of a
server's certificate used by a client are read; ours alone removed, a client-only leaf passes.
"""

from __future__ import annotations

from cryptography.x509.oid import ExtendedKeyUsageOID

from mohawk.identity.names import IdentityRefusedError, Reason
from tests.support.tls import Forgery, Mesh, storm


def test_a_server_only_leaf_is_no_client() -> None:
    outcome = storm(Mesh(), Forgery(purposes=(ExtendedKeyUsageOID.SERVER_AUTH,)))
    assert isinstance(outcome.ours, IdentityRefusedError)
    assert outcome.ours.reason is Reason.EXTENDED_KEY_USAGE
    assert outcome.plaintext == b""


def test_a_client_only_leaf_is_no_node_either() -> None:
    """OpenSSL is content with this one at a server: the rule is ours."""
    outcome = storm(Mesh(), Forgery(purposes=(ExtendedKeyUsageOID.CLIENT_AUTH,)))
    assert isinstance(outcome.ours, IdentityRefusedError)
    assert outcome.ours.reason is Reason.EXTENDED_KEY_USAGE
    assert outcome.plaintext == b""
