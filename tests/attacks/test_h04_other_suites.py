"""H04: a client offers an AES-128 suite only.

Expected: handshake_failure, zero application bytes.
Defence: channel/profile.py:new_context (suites) and Profile.check; removed, bytes under AES-128 are read
(Profile.check alone still refuses).
"""

from __future__ import annotations

import pytest

from mohawk.errors import HandshakeError
from tests.support.tls import Mesh, storm


@pytest.mark.parametrize("suite", ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"])
def test_any_other_suite_is_refused(suite: str) -> None:
    outcome = storm(Mesh(), suites=suite)
    assert isinstance(outcome.ours, HandshakeError)
    assert "handshake failure" in str(outcome.theirs)
    assert outcome.plaintext == b""
