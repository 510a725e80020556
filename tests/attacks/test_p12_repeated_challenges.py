"""P12: the nonce of an attestation challenge is used twice.

Expected: the second use is refused, by the same worker or after a restart; nonces of another worker are not touched. Here
at the guard, which the challenges ask.
Defence: channel/nonces.py:NonceGuard.use, with host/nonce_file.py:open_nonce_guard under it; removed, a quote that was
recorded once releases the key again and again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mohawk.channel.nonces import NonceRefusedError, NonceRepeatedError
from mohawk.crypto.primitives import random_bytes
from mohawk.host.nonce_file import open_nonce_guard

NOW = datetime(2026, 11, 25, tzinfo=UTC)
WINDOW = timedelta(seconds=60)
WORKER = "spiffe://mesh.example/worker/w1"


def test_a_challenge_is_answered_once(tmp_path: Path) -> None:
    path, nonce = tmp_path / "nonces", random_bytes(32)
    guard = open_nonce_guard(path, 10, NOW)
    guard.use(WORKER, nonce, NOW, NOW, WINDOW)
    restarted = open_nonce_guard(path, 10, NOW + WINDOW)
    for one in (guard, restarted):
        for seconds in (0, 30, 60):
            with pytest.raises(NonceRepeatedError):
                one.use(WORKER, nonce, NOW, NOW + timedelta(seconds=seconds), WINDOW)
        with pytest.raises(NonceRefusedError):
            one.use(WORKER, nonce, NOW, NOW + timedelta(seconds=61), WINDOW)
        one.use(WORKER, random_bytes(32), NOW, NOW, WINDOW)
    guard.use("spiffe://mesh.example/worker/w2", nonce, NOW, NOW, WINDOW)
