"""H03: a client offers P-256 or P-384 only.

Expected: handshake_failure, zero application bytes.
Defence: channel/profile.py:new_context (groups) and Profile.check; removed, bytes under P-256, P-384 or pure ML-KEM
keys are read (Profile.check alone still refuses).
"""

from __future__ import annotations

import pytest

from mohawk.errors import HandshakeError
from tests.support.tls import Mesh, storm


@pytest.mark.parametrize("groups", ["P-256", "P-384", "P-256:P-384:P-521", "MLKEM768", "SecP256r1MLKEM768"])
def test_any_other_group_is_refused(groups: str) -> None:
    outcome = storm(Mesh(), groups=groups)
    assert isinstance(outcome.ours, HandshakeError)
    assert "handshake failure" in str(outcome.theirs)
    assert outcome.plaintext == b""
