"""What a key grant is bound to: both ends build the same bytes, or the key does not open.

Attacks this stops: a grant replayed on another connection (the TLS exporter differs), handed to another worker (its
name differs), or used for another slice or manifest (their digests differ).
"""

from __future__ import annotations

from hashlib import sha256

from mohawk.crypto.primitives import length_prefixed

LABEL = b"mie-key-grant-v1"


def grant_context(*, worker: str, manifest: bytes, slice_digest: str, binding: bytes) -> bytes:
    """The HPKE `info` of a sealed data key. `worker`: its SPIFFE id; `binding`: 32 bytes exported from the
    connection.
    """
    return length_prefixed(LABEL, worker.encode(), sha256(manifest).digest(), slice_digest.encode(), binding)


def signed_grant(context: bytes, public_key: bytes, sealed_key: bytes) -> bytes:
    """What the controller signs, because HPKE's base mode does not say who sealed (RFC 9180 section 9.1)."""
    return length_prefixed(context, public_key, sealed_key)
