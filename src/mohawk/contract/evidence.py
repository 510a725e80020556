"""What both ends of a control connection take from it when a worker shows evidence: neither is told by the other
(docs/spec/attestation.md 3).
"""

from __future__ import annotations

from hashlib import sha256

EXPORTER_CONTEXT = b"mie-att-1"
EXPORTER_SIZE = 32
SOFTWARE = sha256(b"mohawk evidence: software").digest()
"""What step tickets are bound to for a worker that proved nothing about its machine."""


def manifest_digest(manifest: bytes) -> bytes:
    """Of the envelope as it travels."""
    return sha256(manifest).digest()
