"""API keys.

Rules, and the attack each stops:
- A key has 256 random bits, so its SHA-256 can be held instead of it: a dump of our memory or store yields no key, and
  no slow hash is needed against guessing.
- Every held digest is compared, each in constant time: the answer's time tells nothing about a key.
- One `Authorization` header, one scheme: nothing in a path or query (those end up in logs).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Sequence

from mohawk.crypto.primitives import sha256
from mohawk.errors import AuthenticationError

PREFIX = "mk-"
_LONGEST = 256


def generate_key() -> str:
    """A fresh key. It is shown once; what is kept is its digest."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_key(key: str) -> bytes:
    """What to keep of a key."""
    return sha256(key.encode("utf-8"))


class ApiKeys:
    """The keys that may use this API, as digests."""

    def __init__(self, digests: Iterable[bytes]) -> None:
        self._digests = tuple(digests)

    def check(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """A request's headers (names in lower case) show one of the keys. Raises AuthenticationError."""
        shown = [value for name, value in headers if name == b"authorization"]
        scheme, _, key = shown[0].partition(b" ") if len(shown) == 1 else (b"", b"", b"")
        if scheme.lower() != b"bearer" or not key or len(key) > _LONGEST:
            raise AuthenticationError("this needs an API key", hint="send it as `Authorization: Bearer mk-…`")
        digest = sha256(key.strip())
        matches = [hmac.compare_digest(digest, held) for held in self._digests]
        if not any(matches):
            raise AuthenticationError("this API key is not valid here")
