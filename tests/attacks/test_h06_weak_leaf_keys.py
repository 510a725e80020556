"""H06: a client's leaf, signed by our authority, holds a P-256, RSA or Ed25519 key.

Expected: rejected; by TLS, and by our own check where TLS would let it pass.
Defence: channel/profile.py:new_context (signatures) and identity/certificates.py:_check_strength; removed, bytes of a
node with a P-256, RSA or Ed25519 key are read (TLS's own list alone still refuses).
"""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from mohawk.identity.names import IdentityRefusedError, Reason
from tests.support.tls import Forgery, Mesh, PrivateKey, lenient, storm

KEYS = {
    "ecdsa_secp256r1_sha256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa_pss_rsae_sha256": lambda: rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_weak_leaf_is_rejected(algorithm: str) -> None:
    key: PrivateKey = KEYS[algorithm]()
    assert storm(Mesh(), Forgery(key=key)).is_refused


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_weak_leaf_is_rejected_by_our_own_check(algorithm: str) -> None:
    mesh = Mesh()
    key: PrivateKey = KEYS[algorithm]()
    outcome = storm(mesh, Forgery(key=key), lenient(mesh, algorithm))
    assert isinstance(outcome.ours, IdentityRefusedError)
    assert outcome.ours.reason is Reason.WEAK_KEY
    assert outcome.plaintext == b""
