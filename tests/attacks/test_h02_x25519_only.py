"""H02: a client offers TLS 1.3 with X25519 only: a recorder of today's traffic with tomorrow's quantum computer.

Expected: handshake_failure, zero application bytes.
Defence: channel/profile.py:new_context (groups) and Profile.check; removed, bytes under a classical key are read
(with Profile.check alone left, the refusal comes after the handshake, still before any byte).
"""

from __future__ import annotations

from mohawk.errors import HandshakeError
from tests.support.tls import Mesh, storm


def test_classical_key_exchange_is_refused() -> None:
    outcome = storm(Mesh(), groups="X25519")
    assert isinstance(outcome.ours, HandshakeError)
    assert "handshake failure" in str(outcome.theirs)
    assert outcome.plaintext == b""


def test_an_honest_client_is_served() -> None:
    """The same attack with the right group succeeds: what was refused above was the group."""
    assert storm(Mesh()).plaintext
