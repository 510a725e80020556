"""D05: one API key asks for a hundred times its share -> 429 with Retry-After for what is beyond it; another's requests
are all answered, and the engine never hears of the rest.

Defence: api/envelope.py:Envelope._admit; removed, every request of the flood is computed, and the other waits behind it.
Defence: generation/quota.py:Quota.enter; removed, one key fills the engine with answers at once.
"""

from __future__ import annotations

import asyncio

from mohawk.generation.quota import Limits
from tests.api.serving import PATIENCE, RawClient, raw_client, request_bytes, request_head, serving
from tests.api.toy import ToyEngine, chat, key_named, keys_of

SHARE = 5
FLOOD = 100 * SHARE


def as_key(name: str) -> bytes:
    body = request_bytes(chat()).partition(b"\r\n\r\n")[2]
    return request_head(length=len(body), key=f"mk-{name}") + body


async def ask(client: RawClient, name: str) -> tuple[int, dict[str, str]]:
    await client.send(as_key(name))
    status, headers, _ = await client.answer()
    return status, headers


def test_a_flood_of_requests() -> None:
    async def main() -> None:
        engine = ToyEngine()
        keys = keys_of(key_named("greedy", limits=Limits(requests_per_minute=SHARE)), key_named("modest"))
        async with (
            serving(engine, keys=keys) as server,
            raw_client(server.port) as greedy,
            raw_client(server.port) as modest,
        ):

            async def flood() -> list[tuple[int, dict[str, str]]]:
                return [await ask(greedy, "greedy") for _ in range(FLOOD)]

            flooding = asyncio.create_task(flood())
            served = [(await ask(modest, "modest"))[0] for _ in range(20)]
            answers = await flooding
        assert served == [200] * 20
        refused = [headers for status, headers in answers if status == 429]
        let_in = [status for status, _ in answers if status == 200]
        assert len(refused) + len(let_in) == FLOOD
        assert SHARE <= len(let_in) <= SHARE + 2, "a slow machine lets a little drain meanwhile"
        assert all(1 <= int(headers["retry-after"]) <= 60 // SHARE for headers in refused)
        assert len(engine.requests) == len(let_in) + len(served)

    asyncio.run(asyncio.wait_for(main(), 6 * PATIENCE))


def test_a_flood_of_answers_at_once() -> None:
    async def main() -> None:
        engine = ToyEngine()
        engine.waits_at = 1
        keys = keys_of(key_named("greedy", limits=Limits(concurrency=2)), key_named("modest"))
        async with serving(engine, keys=keys) as server:
            async with asyncio.TaskGroup() as group:

                async def one(name: str) -> int:
                    async with raw_client(server.port) as client:
                        return (await ask(client, name))[0]

                greedy = [group.create_task(one("greedy")) for _ in range(20)]
                modest = group.create_task(one("modest"))
                refusals = asyncio.as_completed(greedy)
                assert [await next(refusals) for _ in range(18)] == [429] * 18
                engine.go.set()
            assert sorted(task.result() for task in greedy) == [200] * 2 + [429] * 18
            assert modest.result() == 200

    asyncio.run(asyncio.wait_for(main(), 6 * PATIENCE))
