"""`Idempotency-Key`: one request, done once, answered as often as it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from mohawk.api.repeats import LIFETIME, Repeats
from mohawk.errors import HostError, UnavailableError
from mohawk.generation.quota import Limits
from mohawk.store.answers import AnswerTable
from mohawk.store.database import Database
from tests.api.toy import HEADERS, KEY, MODEL, Clock, ToyEngine, chat, in_process, key_named, keys_of, sessions_in

CHAT = "/v1/chat/completions"
Main = Callable[[httpx.AsyncClient], Coroutine[Any, Any, None]]
KEYS = keys_of(key_named("toy", KEY), key_named("other"))


class Server:
    """May be started again over the same store."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self.database = Database(path)
        self.clock = Clock()
        self.engine = ToyEngine("Grüße".encode())

    def run(self, main: Main, keys: Any = KEYS) -> None:
        async def inside() -> None:
            sessions = sessions_in(self.database, self.engine, 10, self.clock)
            repeats = Repeats(AnswerTable(self.database), self.clock.time)
            async with in_process(self.engine, keys, sessions, repeats) as client:
                await main(client)

        asyncio.run(asyncio.wait_for(inside(), 30))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "mohawk.db")
    with closing(server.database):
        yield server


def named(name: str, key: str = KEY) -> dict[str, str]:
    return HEADERS | {"authorization": f"Bearer {key}", "idempotency-key": name}


def is_repeated(response: httpx.Response) -> bool:
    return response.headers.get("idempotency-replayed") == "true"


@pytest.mark.parametrize("path", [CHAT, "/v1/completions"])
def test_a_repeated_completion_is_the_first_one(server: Server, path: str) -> None:
    body = chat() if path == CHAT else {"model": MODEL, "prompt": "Hi"}

    async def main(client: httpx.AsyncClient) -> None:
        first = await client.post(path, json=body, headers=named("n1"))
        again = await client.post(path, json=body, headers=named("n1"))
        assert (first.status_code, is_repeated(first)) == (200, False)
        assert (again.status_code, is_repeated(again)) == (200, True)
        assert first.content == again.content
        assert first.headers["content-type"] == again.headers["content-type"] == "application/json"
        assert len(server.engine.requests) == 1
        other = await client.post(path, json=body, headers=named("n2"))
        assert other.json()["id"] != first.json()["id"]

    server.run(main)


def test_a_repeated_session_is_opened_once_also_after_a_restart(server: Server) -> None:
    """An answer that was lost with a server that died is still there."""
    found = []

    async def main(client: httpx.AsyncClient) -> None:
        response = await client.post("/v1/sessions", json={"model": MODEL}, headers=named("s"))
        assert response.status_code == 201
        found.append(response.content)
        assert len((await client.get("/v1/sessions")).json()["data"]) == 1

    server.run(main)
    server.run(main)
    assert found[0] == found[1]


def test_another_body_or_route_under_the_same_name_is_422(server: Server) -> None:
    async def main(client: httpx.AsyncClient) -> None:
        await client.post(CHAT, json=chat(), headers=named("n"))
        for path, body in ((CHAT, chat(max_tokens=3)), ("/v1/completions", chat()), ("/v1/sessions", {"model": MODEL})):
            refused = await client.post(path, json=body, headers=named("n"))
            assert (refused.status_code, refused.json()["error"]["code"]) in (
                (422, "idempotency_key_reused"),
                (400, "invalid_request"),  # no body of that route
            )
        assert len(server.engine.requests) == 1
        assert (await client.get("/v1/sessions")).json()["data"] == []

    server.run(main)


def test_a_repeat_while_the_first_is_under_way_is_409(server: Server) -> None:
    server.engine.waits_at = 1

    async def main(client: httpx.AsyncClient) -> None:
        first = asyncio.create_task(client.post(CHAT, json=chat(), headers=named("n")))
        await server.engine.waiting.wait()
        repeat = await client.post(CHAT, json=chat(), headers=named("n"))
        assert (repeat.status_code, repeat.json()["error"]["code"]) == (409, "request_in_progress")
        different = await client.post(CHAT, json=chat(max_tokens=3), headers=named("n"))
        assert different.status_code == 422
        server.engine.go.set()
        done = await first
        again = await client.post(CHAT, json=chat(), headers=named("n"))
        assert (again.content, is_repeated(again)) == (done.content, True)
        assert len(server.engine.requests) == 1

    server.run(main)


def test_names_are_each_keys_own(server: Server) -> None:
    async def main(client: httpx.AsyncClient) -> None:
        first = await client.post(CHAT, json=chat(), headers=named("n"))
        other = await client.post(CHAT, json=chat(), headers=named("n", "mk-other"))
        assert not is_repeated(other)
        assert first.json()["id"] != other.json()["id"]

    server.run(main)


def test_what_failed_is_not_kept(server: Server) -> None:
    server.engine.fails_at, server.engine.failure = 2, UnavailableError("a worker is gone")

    async def main(client: httpx.AsyncClient) -> None:
        assert (await client.post(CHAT, json=chat(), headers=named("n"))).status_code == 503
        server.engine.fails_at = -1
        again = await client.post(CHAT, json=chat(), headers=named("n"))
        assert (again.status_code, is_repeated(again)) == (200, False)

    server.run(main)


def test_what_cannot_be_kept_is_not_answered(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a repeat would be done again after it was answered."""

    def fail(*_: object) -> None:
        raise HostError("writing the store failed")

    async def main(client: httpx.AsyncClient) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(AnswerTable, "keep", fail)
            assert (await client.post(CHAT, json=chat(), headers=named("n"))).status_code == 503

    server.run(main)


def test_a_day_later_it_is_a_new_request(server: Server) -> None:
    async def main(client: httpx.AsyncClient) -> None:
        await client.post(CHAT, json=chat(), headers=named("n"))
        server.clock.now += LIFETIME - timedelta(seconds=1)
        assert is_repeated(await client.post(CHAT, json=chat(), headers=named("n")))
        server.clock.now += timedelta(seconds=1)
        assert not is_repeated(await client.post(CHAT, json=chat(), headers=named("n")))
        assert server.database.rows("SELECT count(*) FROM answers") == [(1,)]

    server.run(main)


def test_a_repeat_costs_no_tokens(server: Server) -> None:
    keys = keys_of(key_named("toy", KEY, limits=Limits(tokens_per_minute=100)))

    async def main(client: httpx.AsyncClient) -> None:
        body = chat(max_tokens=90)
        assert {(await client.post(CHAT, json=body, headers=named("n"))).status_code for _ in range(5)} == {200}
        assert (await client.post(CHAT, json=body)).status_code == 429

    server.run(main, keys)


def test_an_altered_answer_is_not_given(server: Server) -> None:
    async def main(client: httpx.AsyncClient) -> None:
        await client.post(CHAT, json=chat(), headers=named("n"))
        with server.database.change() as connection:
            connection.execute("UPDATE answers SET sealed = zeroblob(length(sealed))")
        assert (await client.post(CHAT, json=chat(), headers=named("n"))).status_code == 503

    server.run(main)


def test_a_stream_cannot_be_repeated(server: Server) -> None:
    async def main(client: httpx.AsyncClient) -> None:
        refused = await client.post(CHAT, json=chat(stream=True), headers=named("n"))
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "idempotency-key")
        assert server.engine.requests == []

    server.run(main)


@pytest.mark.parametrize("names", [[""], ["a b"], ["x" * 256], ["a", "a"], ["\u00e9"], ["a\tb"]])
def test_what_is_no_idempotency_key(server: Server, names: list[str]) -> None:
    async def main(client: httpx.AsyncClient) -> None:
        for path, body in ((CHAT, chat()), ("/v1/sessions", {"model": MODEL})):
            headers = [*HEADERS.items(), *(("idempotency-key", name.encode("latin-1")) for name in names)]
            refused = await client.post(path, json=body, headers=headers)
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "idempotency-key")
        assert server.engine.requests == []

    server.run(main)
