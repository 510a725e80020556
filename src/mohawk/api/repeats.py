"""Requests that are sent again: `Idempotency-Key` (docs/spec/api.md 9).

Rules, and the attack each stops:
- The first answer is synced before it is sent: a client that lost it, to a cut link or to a crash of ours, gets that
  one, and nothing is done twice.
- Answers hold what a model said: they are sealed under a key derived from the API key that asked, of which we keep a
  digest only. Neither a stolen store nor its administrator reads them. The sealing key is fresh for each answer, so its
  one nonce is never used twice.
- What names a request in the store is a MAC under the same secret: a stolen store confirms no guessed prompt.
- Kept answers are each API key's own, bounded, and never forgotten early: nobody makes us do another's request twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from starlette.responses import Response
from starlette.types import Message, Scope

from mohawk.api.auth import shown_key
from mohawk.crypto.primitives import (
    NONCE_SIZE,
    AeadKey,
    derive,
    hmac_sha384,
    length_prefixed,
    random_bytes,
    require_equal,
)
from mohawk.errors import ConflictError, HostError, MohawkError, RemoteError, RepeatedKeyError, UsageError
from mohawk.store.answers import AnswerTable, KeptAnswer
from mohawk.store.api_keys import ApiKey

HEADER = b"idempotency-key"
LIFETIME = timedelta(hours=24)
_LONGEST = 255
_SALT = 32
_ONLY_NONCE = bytes(NONCE_SIZE)
"""Each answer has a key of its own."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a request brought: a JSON document."""

    status: int
    body: bytes

    def response(self, *, is_repeated: bool = False) -> Response:
        headers = {"idempotency-replayed": "true"} if is_repeated else {}
        return Response(self.body, self.status, headers, "application/json")


class Capture:
    """Takes an answer as a client would."""

    def __init__(self) -> None:
        self._status = 0
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
        else:
            self._body += message.get("body", b"")

    @property
    def done(self) -> Done:
        return Done(self._status, bytes(self._body))


class Repeats:
    """Answers given once and kept. Used from one event loop; a thread asks the store. `now`: the time."""

    def __init__(self, table: AnswerTable, now: Callable[[], datetime]) -> None:
        self._table = table
        self._now = now
        self._running: dict[tuple[str, bytes], bytes] = {}
        """Requests under way -> the tags of their content."""

    async def once(self, scope: Scope, data: bytes, work: Callable[[], Awaitable[Done]]) -> Response:
        """What `work` brings, or what it brought when this request (its header and body) came first. Without the
        header, always the former.

        Raises what `work` raises, which is not kept: nothing was done. UsageError, ConflictError (the first is under
        way), RepeatedKeyError (another request had the header), LimitError, HostError.
        """
        name = find_header(scope)
        if name is None:
            return (await work()).response()
        secret, key = shown_key(scope["headers"]), scope["state"]["api_key"]
        answer_id = hmac_sha384(_subkey(secret, b"id"), name)[:32]
        tag = hmac_sha384(_subkey(secret, b"tag"), length_prefixed(scope["path"].encode("utf-8"), data))
        place = (key.name, answer_id)
        if place in self._running:
            require_equal(self._running[place], tag, _other_request())
            raise ConflictError("a request with this Idempotency-Key is under way", hint="ask again when it has ended")
        self._running[place] = tag
        try:
            return await self._find_or_do(key, secret, answer_id, tag, work)
        finally:
            del self._running[place]

    async def _find_or_do(
        self, key: ApiKey, secret: bytes, answer_id: bytes, tag: bytes, work: Callable[[], Awaitable[Done]]
    ) -> Response:
        now = int(self._now().timestamp())
        kept = await asyncio.to_thread(self._table.find, key.name, answer_id, now)
        if kept is not None:
            require_equal(kept.tag, tag, _other_request())
            return _open(secret, kept).response(is_repeated=True)
        await asyncio.to_thread(self._table.require_room, key.name, now)
        done = await work()
        answer = _seal(secret, answer_id, tag, done, now + int(LIFETIME.total_seconds()))
        await asyncio.to_thread(self._table.keep, key.name, answer)
        return done.response()


def find_header(scope: Scope) -> bytes | None:
    """The request's `Idempotency-Key`, if it has one. Raises UsageError when it has several, or one that is none."""
    names = [value for name, value in scope["headers"] if name == HEADER]
    if not names:
        return None
    if len(names) > 1 or not 1 <= len(names[0]) <= _LONGEST or not all(0x20 < byte < 0x7F for byte in names[0]):
        hint = f"one header of 1 to {_LONGEST} printable ASCII characters without spaces, such as a UUID"
        raise UsageError("not an Idempotency-Key", hint=hint, field="idempotency-key")
    return bytes(names[0])


def _seal(secret: bytes, answer_id: bytes, tag: bytes, done: Done, expires: int) -> KeptAnswer:
    salt = random_bytes(_SALT)
    plain = done.status.to_bytes(2, "big") + done.body
    sealed = AeadKey(_subkey(secret, b"answer", salt)).seal(_ONLY_NONCE, plain, answer_id + tag)
    return KeptAnswer(answer_id, tag, salt, sealed, expires)


def _open(secret: bytes, kept: KeptAnswer) -> Done:
    """Raises HostError when the store was altered."""
    try:
        plain = AeadKey(_subkey(secret, b"answer", kept.salt)).open(_ONLY_NONCE, kept.sealed, kept.id + kept.tag)
    except RemoteError:
        raise HostError("a kept answer was altered in the store", hint="restore the store from a backup") from None
    return Done(int.from_bytes(plain[:2], "big"), plain[2:])


def _subkey(secret: bytes, use: bytes, salt: bytes = b"") -> bytes:
    """An API key has 256 random bits: HKDF is all that it needs."""
    return derive(secret, salt, b"mohawk idempotency 1 " + use)


def _other_request() -> MohawkError:
    return RepeatedKeyError("another request had this Idempotency-Key", hint="use a fresh one for each request")
