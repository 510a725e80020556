"""Z06 (HTTPS): an API key is revoked, or expires, while its holder streams an answer and waits for another -> both are
cut off within seconds (3 s; here fractions of one), what was computed for them is given back, the next request is 401,
and another key's answer goes on.

Defence: api/presence.py:KeyWatch; removed, a thief streams on for as long as the model has something to say. Defence:
store/api_keys.py:ApiKey.require_usable; removed, revoking does nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from mohawk.api import presence
from mohawk.api.auth import ApiKeys
from mohawk.store.api_keys import ApiKey
from tests.api.serving import PATIENCE, RawClient, raw_client, request_bytes, request_head, serving
from tests.api.toy import NOW, Clock, ToyEngine, chat, key_named


def test_the_key_is_looked_up_again_within_five_seconds() -> None:
    assert presence.KEY_SECONDS <= 5


def as_key(name: str, **fields: object) -> bytes:
    body = request_bytes(chat(**fields)).partition(b"\r\n\r\n")[2]
    return request_head(length=len(body), key=f"mk-{name}") + body


def revoke(keys: dict[bytes, ApiKey], _clock: Clock, key: ApiKey) -> None:
    keys[key.digest] = replace(key, revoked=NOW)


def expire(_keys: dict[bytes, ApiKey], clock: Clock, _key: ApiKey) -> None:
    clock.now += timedelta(days=2)


@pytest.mark.parametrize("end", [revoke, expire])
def test_answers_under_way_are_cut_off(
    monkeypatch: pytest.MonkeyPatch, end: Callable[[dict[bytes, ApiKey], Clock, ApiKey], None]
) -> None:
    monkeypatch.setattr(presence, "KEY_SECONDS", 0.1)

    async def main() -> None:
        engine, clock = ToyEngine(), Clock()
        engine.waits_at = 3
        stolen = key_named("stolen", expires=NOW + timedelta(days=1))
        known = {key.digest: key for key in (stolen, key_named("honest"))}
        keys = ApiKeys(known.get, clock.time)
        async with (
            serving(engine, keys=keys) as server,
            raw_client(server.port) as streaming,
            raw_client(server.port) as waiting,
            raw_client(server.port) as honest,
        ):
            await streaming.send(as_key("stolen", stream=True))
            await waiting.send(as_key("stolen"))
            await honest.send(as_key("honest"))
            while engine.tokens < 9:  # noqa: ASYNC110 - the toy announces the first only
                await asyncio.sleep(0.01)
            end(known, clock, stolen)
            assert (await waiting.answer())[0] == 401
            assert b"[DONE]" not in await asyncio.wait_for(streaming.reader.read(-1), PATIENCE)
            while engine.running > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            async with raw_client(server.port) as again:
                assert await status(again, "stolen") == 401
            engine.go.set()
            assert (await honest.answer())[0] == 200

    asyncio.run(asyncio.wait_for(main(), 3 * PATIENCE))


async def status(client: RawClient, name: str) -> int:
    await client.send(as_key(name))
    return (await client.answer())[0]
