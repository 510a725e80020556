"""What a key grant is bound to: both ends build the same bytes, or the key does not open.

Attacks this stops: a grant replayed on another connection (the TLS exporter differs), handed to another worker (its
name differs), or used for other slices, in another order, or for another manifest (their digests differ).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from mohawk.crypto.primitives import length_prefixed

LABEL = b"mie-key-grant-v2"


def grant_context(*, worker: str, manifest: bytes, slice_digests: Sequence[str], binding: bytes) -> bytes:
    """The HPKE `info` of a run's sealed data keys. `worker`: its SPIFFE id; `slice_digests`: 64 hexadecimal digits
    each, in the order of the keys; `binding`: 32 bytes exported from the connection.
    """
    digests = "".join(slice_digests).encode()  # of one length each, so they join without ambiguity
    return length_prefixed(LABEL, worker.encode(), sha256(manifest).digest(), digests, binding)


def signed_grant(context: bytes, public_key: bytes, sealed_keys: bytes) -> bytes:
    """What the controller signs, because HPKE's base mode does not say who sealed (RFC 9180 section 9.1)."""
    return length_prefixed(context, public_key, sealed_keys)
