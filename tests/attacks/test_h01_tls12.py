"""H01: a client offers TLS 1.2.

Expected: alert, zero application bytes.
Defence: channel/profile.py:new_context (version) and Profile.check; removed, a TLS 1.2 client's bytes are read (all
three layers removed: version, groups, check; each alone still refuses).
"""

from __future__ import annotations

import pytest
from OpenSSL import SSL

from mohawk.errors import HandshakeError
from tests.support.tls import Mesh, storm


@pytest.mark.parametrize("alpn", [(), (b"mie/1",)])
def test_an_older_version_is_refused(alpn: tuple[bytes, ...]) -> None:
    outcome = storm(Mesh(), version=SSL.TLS1_2_VERSION, groups="X25519:P-256:P-384", alpn=alpn)
    assert isinstance(outcome.ours, HandshakeError)
    assert "alert protocol version" in str(outcome.theirs)
    assert outcome.plaintext == b""
