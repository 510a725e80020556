"""What a ticket's key is bound to about the worker's evidence; both ends build the same bytes."""

from __future__ import annotations

from hashlib import sha256

SOFTWARE = sha256(b"mohawk evidence: software").digest()
"""A worker that proved nothing about its machine."""
