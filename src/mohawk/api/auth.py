"""API keys.

Rules, and the attack each stops:
- A key has 256 random bits, so its SHA-256 can be held instead of it: a dump of our memory or store yields no key, and
  no slow hash is needed against guessing.
- It is looked up by that digest at each request: what the search's time tells of a digest tells nothing of a key, and a
  revoked key opens nothing from then on.
- One `Authorization` header, one scheme: nothing in a path or query (those end up in logs).
- What a key is not for is refused before a body is read; every route names its scope.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import cast

from starlette.types import Scope as Request

from mohawk.crypto.primitives import sha256
from mohawk.errors import AuthenticationError, PermissionDeniedError
from mohawk.store.api_keys import ApiKey, Scope

PREFIX = "mk-"
_LONGEST = 256


def generate_key() -> str:
    """A fresh key. It is shown once; what is kept is its digest."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_key(key: str) -> bytes:
    """What to keep of a key."""
    return sha256(key.encode("utf-8"))


class ApiKeys:
    """The keys that may use this API. `find`: the key of a digest; `now`: the time, by which keys expire."""

    def __init__(self, find: Callable[[bytes], ApiKey | None], now: Callable[[], datetime]) -> None:
        self._find = find
        self._now = now

    def check(self, headers: Sequence[tuple[bytes, bytes]]) -> ApiKey:
        """The key that a request's headers (names in lower case) show. Raises AuthenticationError, HostError."""
        return self.require(sha256(shown_key(headers)))

    def require(self, digest: bytes) -> ApiKey:
        """The key with this SHA-256. Raises AuthenticationError, HostError."""
        found = self._find(digest)
        if found is None:
            raise AuthenticationError("this API key is not valid here")
        found.require_usable(self._now())
        return found


def shown_key(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """What the headers show as a key. Raises AuthenticationError when that is nothing."""
    shown = [value for name, value in headers if name == b"authorization"]
    scheme, _, key = shown[0].partition(b" ") if len(shown) == 1 else (b"", b"", b"")
    if scheme.lower() != b"bearer" or not key or len(key) > _LONGEST:
        raise AuthenticationError("this needs an API key", hint="send it as `Authorization: Bearer mk-…`")
    return key.strip()


def require_scope(request: Request, scope: Scope) -> ApiKey:
    """The key that this request has shown, which `Envelope` has checked. Raises PermissionDeniedError."""
    key = cast("ApiKey", request["state"]["api_key"])
    if scope not in key.scopes:
        raise PermissionDeniedError(f"this API key is not for this: it lacks the scope `{scope.value}`")
    return key
