"""Quotas over HTTP: what a client hears, what its account is charged, and what is never begun."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import httpx
import pytest

from mohawk.api.auth import ApiKeys
from mohawk.errors import LimitError, UnavailableError, UsageError
from mohawk.generation.quota import Limits
from tests.api.toy import HEADERS, KEY, ToyEngine, chat, in_process, key_named, keys_of

CHAT = "/v1/chat/completions"
PROMPT = len("user: Hi\n")


def limited(**limits: int) -> ApiKeys:
    return keys_of(key_named("toy", KEY, limits=Limits(**limits)), key_named("other"))


def run(engine: ToyEngine, keys: ApiKeys, main: Callable[[httpx.AsyncClient], Coroutine[Any, Any, None]]) -> None:
    async def inside() -> None:
        async with in_process(engine, keys) as client:
            await main(client)

    asyncio.run(asyncio.wait_for(inside(), 20))


def test_too_many_requests_are_429_and_say_when_to_return() -> None:
    engine = ToyEngine()

    async def main(client: httpx.AsyncClient) -> None:
        assert [(await client.post(CHAT, json=chat())).status_code for _ in range(3)] == [200, 200, 429]
        refused = await client.get("/v1/models")
        assert refused.status_code == 429
        assert 25 <= int(refused.headers["retry-after"]) <= 30
        error = refused.json()["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", LimitError.code)
        other = await client.post(CHAT, json=chat(), headers=HEADERS | {"authorization": "Bearer mk-other"})
        assert other.status_code == 200

    run(engine, limited(requests_per_minute=2), main)
    assert len(engine.requests) == 3


def test_health_costs_nothing() -> None:
    async def main(client: httpx.AsyncClient) -> None:
        assert {(await client.get("/healthz")).status_code for _ in range(5)} == {200}

    run(ToyEngine(), limited(requests_per_minute=1), main)


def test_a_refused_body_is_not_read() -> None:
    async def main(client: httpx.AsyncClient) -> None:
        async def body() -> Any:
            raise AssertionError("it was read")
            yield b""

        assert (await client.get("/v1/models")).status_code == 200
        assert (await client.post(CHAT, content=body())).status_code == 429

    run(ToyEngine(), limited(requests_per_minute=1), main)


def test_answers_at_once_are_counted_until_they_end() -> None:
    engine = ToyEngine()
    engine.waits_at = 0

    async def main(client: httpx.AsyncClient) -> None:
        first = asyncio.create_task(client.post(CHAT, json=chat()))
        await engine.waiting.wait()
        assert (await client.post(CHAT, json=chat())).status_code == 429
        engine.go.set()
        assert (await first).status_code == 200
        assert (await client.post(CHAT, json=chat())).status_code == 200

    run(engine, limited(concurrency=1), main)


def test_tokens_are_set_aside_while_an_answer_is_under_way_and_then_counted_as_they_were() -> None:
    engine = ToyEngine(b"abc")
    engine.waits_at = 0

    async def main(client: httpx.AsyncClient) -> None:
        first = asyncio.create_task(client.post(CHAT, json=chat(max_tokens=80)))
        await engine.waiting.wait()
        refused = await client.post(CHAT, json=chat(max_tokens=80))
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 10
        engine.go.set()
        assert (await first).json()["usage"]["total_tokens"] == PROMPT + 4
        assert (await client.post(CHAT, json=chat(max_tokens=70))).status_code == 200

    run(engine, limited(tokens_per_minute=100), main)


def test_an_error_of_ours_costs_nothing() -> None:
    engine = ToyEngine()
    engine.fails_at, engine.failure = 0, UnavailableError("full")

    async def main(client: httpx.AsyncClient) -> None:
        assert (await client.post(CHAT, json=chat(max_tokens=90))).status_code == 503
        engine.fails_at = -1
        assert (await client.post(CHAT, json=chat(max_tokens=90))).status_code == 200

    run(engine, limited(tokens_per_minute=100), main)


def test_an_error_of_ours_in_the_middle_of_a_stream_costs_nothing() -> None:
    """Its status was sent long before."""
    engine = ToyEngine(b"abcdefghij")
    engine.fails_at, engine.failure = 5, UnavailableError("a worker is lost")

    async def main(client: httpx.AsyncClient) -> None:
        broken = await client.post(CHAT, json=chat(max_tokens=90, stream=True))
        assert broken.status_code == 200
        assert "error" in broken.text
        engine.fails_at = -1
        assert (await client.post(CHAT, json=chat(max_tokens=90))).status_code == 200

    run(engine, limited(tokens_per_minute=100), main)


def test_a_mistake_of_the_clients_that_shows_late_costs_what_was_computed() -> None:
    engine = ToyEngine(b"abcdefghij")
    engine.fails_at, engine.failure = 10, UsageError("the answer's format is too complex to follow")

    async def main(client: httpx.AsyncClient) -> None:
        assert (await client.post(CHAT, json=chat(max_tokens=50))).status_code == 400
        engine.fails_at = -1
        left = 100 - PROMPT - 10
        assert (await client.post(CHAT, json=chat(max_tokens=left - PROMPT + 1))).status_code == 429
        assert (await client.post(CHAT, json=chat(max_tokens=left - PROMPT))).status_code == 200

    run(engine, limited(tokens_per_minute=100), main)


def test_each_choice_costs_what_it_generates_and_the_prompt_counts_once() -> None:
    engine = ToyEngine(b"abc")

    async def main(client: httpx.AsyncClient) -> None:
        answer = await client.post(CHAT, json=chat(max_tokens=30, n=3))
        assert answer.json()["usage"]["total_tokens"] == PROMPT + 12
        left = 100 - PROMPT - 12
        assert (await client.post(CHAT, json=chat(max_tokens=(left - PROMPT) // 2 + 1, n=2))).status_code == 429
        assert (await client.post(CHAT, json=chat(max_tokens=(left - PROMPT) // 2, n=2))).status_code == 200

    run(engine, limited(tokens_per_minute=100), main)


@pytest.mark.parametrize("count", [0, 5])
def test_leaving_early_costs_what_was_computed(count: int) -> None:
    """Else whoever leaves before the end would compute for nothing."""
    engine = ToyEngine(b"abcdefghij")
    engine.waits_at = count

    async def main(client: httpx.AsyncClient) -> None:
        leaving = asyncio.create_task(client.post(CHAT, json=chat(max_tokens=50)))
        await engine.waiting.wait()
        leaving.cancel()
        with suppress(asyncio.CancelledError):
            await leaving
        engine.waits_at = -1
        left = 100 - PROMPT - count
        assert (await client.post(CHAT, json=chat(max_tokens=left - PROMPT + 1))).status_code == 429
        assert (await client.post(CHAT, json=chat(max_tokens=left - PROMPT))).status_code == 200

    run(engine, limited(tokens_per_minute=100), main)
