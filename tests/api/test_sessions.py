"""Sessions over HTTP: opened, used, seen, ended, idle; in a store that outlives the server."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from mohawk.api.auth import ApiKeys
from mohawk.api.sessions import IDLE
from mohawk.errors import HostError, LimitError
from mohawk.generation.quota import Limits
from mohawk.generation.session import Priority
from mohawk.store.database import Database
from tests.api.toy import (
    HEADERS,
    KEY,
    KEYS,
    MODEL,
    NOW,
    Clock,
    ToyEngine,
    chat,
    in_process,
    key_named,
    keys_of,
    sessions_in,
)

CHAT = "/v1/chat/completions"
Main = Callable[[httpx.AsyncClient], Coroutine[Any, Any, None]]


class Server:
    """May be started again over the same store."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self.database = Database(path)
        self.clock = Clock()
        self.engine = ToyEngine(b"abc")

    def run(self, main: Main, keys: ApiKeys = KEYS, maximum: int = 1000) -> None:
        async def inside() -> None:
            sessions = sessions_in(self.database, self.engine, maximum, self.clock)
            async with in_process(self.engine, keys, sessions) as client:
                await main(client)
            await sessions.close()

        asyncio.run(asyncio.wait_for(inside(), 30))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "mohawk.db")
    with closing(server.database):
        yield server


async def opened(client: httpx.AsyncClient, **fields: object) -> dict[str, Any]:
    response = await client.post("/v1/sessions", json={"model": MODEL, **fields})
    assert response.status_code == 201, response.text
    return dict(response.json())


def as_key(name: str) -> dict[str, str]:
    return HEADERS | {"authorization": f"Bearer mk-{name}"}


def test_a_session_is_opened_seen_and_ended(server: Server) -> None:
    async def main(client: httpx.AsyncClient) -> None:
        session = await opened(client, qos="low", routing={"zone": "a"})
        assert uuid.UUID(session["id"]).version == 4
        assert (session["qos"], session["tenant"], session["routing"]) == ("low", "default", {"zone": "a"})
        assert session["expires"] - session["created"] == IDLE.total_seconds()
        path = f"/v1/sessions/{session['id']}"
        assert (await client.get(path)).json() == session
        assert (await client.get("/v1/sessions")).json()["data"] == [session]
        assert (await client.delete(path)).json()["deleted"] is True
        assert server.engine.ended == [session["id"]]
        assert (await client.get(path)).status_code == 404
        assert (await client.delete(path)).status_code == 404
        gone = await client.post(CHAT, json=chat(session_id=session["id"]))
        assert (gone.status_code, gone.json()["error"]["param"]) == (404, "session_id")
        assert server.engine.requests == []

    server.run(main)


def test_requests_go_to_the_engine_in_the_sessions_name(server: Server) -> None:
    async def main(client: httpx.AsyncClient) -> None:
        session = (await opened(client, qos="low"))["id"]
        for stream in (False, True):
            assert (await client.post(CHAT, json=chat(session_id=session, stream=stream))).status_code == 200
        body = {"model": MODEL, "prompt": "Hi", "session_id": session}
        assert (await client.post("/v1/completions", json=body)).status_code == 200
        callers = {request.caller for request in server.engine.requests}
        assert [(one.tenant, one.priority, one.session) for one in callers] == [("default", Priority.LOW, session)]
        assert (await client.post(CHAT, json=chat())).status_code == 200
        assert server.engine.requests[-1].caller.session is None

    server.run(main)


def test_statistics_are_of_the_session(server: Server) -> None:
    async def main(client: httpx.AsyncClient) -> None:
        session, other = [(await opened(client))["id"] for _ in range(2)]
        for _ in range(3):
            await client.post(CHAT, json=chat(session_id=session))
        found = (await client.get(f"/v1/sessions/{session}")).json()["statistics"]
        assert (found["turns"], found["generated_tokens"], found["prompt_tokens"]) == (3, 12, 3 * len("user: Hi\n"))
        assert found["tokens_per_second"] > 0
        for times in (found["time_to_first_token"], found["inter_token_time"]):
            assert 0 < times["p50"] <= times["p95"] <= times["p99"]
        untouched = (await client.get(f"/v1/sessions/{other}")).json()["statistics"]
        assert (untouched["turns"], untouched["inter_token_time"]["p50"]) == (0, None)

    server.run(main)


def test_quality_is_bounded_by_the_keys_also_later(server: Server) -> None:
    async def main(client: httpx.AsyncClient) -> None:
        refused = await client.post("/v1/sessions", json={"model": MODEL, "qos": "high"})
        assert (refused.status_code, refused.json()["error"]["param"]) == (403, "qos")
        assert (await opened(client))["qos"] == "normal"

    async def later(client: httpx.AsyncClient) -> None:
        session = (await client.get("/v1/sessions")).json()["data"][0]["id"]
        assert (await client.post(CHAT, json=chat(session_id=session))).status_code == 200
        assert server.engine.requests[-1].caller.priority == Priority.LOW

    server.run(main)
    server.run(later, keys_of(key_named("toy", KEY, priority=Priority.LOW)))


def test_the_tenant_is_the_keys(server: Server) -> None:
    async def main(client: httpx.AsyncClient) -> None:
        assert (await opened(client, tenant="acme"))["tenant"] == "acme"
        refused = await client.post("/v1/sessions", json={"model": MODEL, "tenant": "rival"})
        assert (refused.status_code, refused.json()["error"]["param"]) == (403, "tenant")

    server.run(main, keys_of(key_named("toy", KEY, tenant="acme")))


def test_the_next_beyond_all_that_may_be_held_is_503_until_one_ends(server: Server) -> None:
    async def main(client: httpx.AsyncClient) -> None:
        first = await opened(client)
        await opened(client)
        full = await client.post("/v1/sessions", json={"model": MODEL})
        assert full.status_code == 503
        assert int(full.headers["retry-after"]) > 0
        assert (await client.post(CHAT, json=chat(session_id=first["id"]))).status_code == 200
        await client.delete(f"/v1/sessions/{first['id']}")
        await opened(client)

    server.run(main, maximum=2)


def test_one_key_may_be_held_to_less(server: Server) -> None:
    keys = keys_of(key_named("toy", KEY, limits=Limits(sessions=1)), key_named("other"))

    async def main(client: httpx.AsyncClient) -> None:
        first = await opened(client)
        refused = await client.post("/v1/sessions", json={"model": MODEL})
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, LimitError.code)
        assert int(refused.headers["retry-after"]) > 0
        other = await client.post("/v1/sessions", json={"model": MODEL}, headers=as_key("other"))
        assert other.status_code == 201
        await client.delete(f"/v1/sessions/{first['id']}")
        await opened(client)

    server.run(main, keys)


def test_idle_sessions_end_and_used_ones_do_not(server: Server) -> None:
    async def main(client: httpx.AsyncClient) -> None:
        idle, used = [(await opened(client))["id"] for _ in range(2)]
        server.clock.now += IDLE - timedelta(minutes=5)
        assert (await client.post(CHAT, json=chat(session_id=used))).status_code == 200
        server.clock.now += timedelta(minutes=5)
        assert [one["id"] for one in (await client.get("/v1/sessions")).json()["data"]] == [used]
        assert server.engine.ended == [idle]
        await opened(client)

    server.run(main, maximum=2)


def test_a_session_does_not_end_in_the_middle_of_a_turn(server: Server) -> None:
    server.engine.waits_at = 0

    async def main(client: httpx.AsyncClient) -> None:
        session = (await opened(client))["id"]
        turn = asyncio.create_task(client.post(CHAT, json=chat(session_id=session)))
        await server.engine.waiting.wait()
        server.clock.now += 2 * IDLE
        assert (await client.get(f"/v1/sessions/{session}")).json()["running"] == 1
        server.engine.go.set()
        assert (await turn).status_code == 200
        assert (await client.get(f"/v1/sessions/{session}")).json()["running"] == 0

    server.run(main)


def test_a_turn_of_a_session_that_is_ended_meanwhile_goes_on(server: Server) -> None:
    server.engine.waits_at = 1

    async def main(client: httpx.AsyncClient) -> None:
        session = (await opened(client))["id"]
        turn = asyncio.create_task(client.post(CHAT, json=chat(session_id=session)))
        await server.engine.waiting.wait()
        assert (await client.delete(f"/v1/sessions/{session}")).status_code == 200
        server.engine.go.set()
        assert (await turn).status_code == 200
        assert (await client.get("/v1/sessions")).json()["data"] == []

    server.run(main)


def test_sessions_survive_a_restart_and_their_ending_does_too(server: Server) -> None:
    known: dict[str, dict[str, Any]] = {}

    async def first(client: httpx.AsyncClient) -> None:
        for _ in range(3):
            session = await opened(client, routing={"a": "b"})
            known[session["id"]] = session
        ended = next(iter(known))
        await client.delete(f"/v1/sessions/{ended}")
        del known[ended]
        server.clock.now += IDLE / 2
        await client.post(CHAT, json=chat(session_id=list(known)[1]))

    async def second(client: httpx.AsyncClient) -> None:
        found = {one["id"]: one for one in (await client.get("/v1/sessions")).json()["data"]}
        assert set(found) == set(known)
        for name, one in found.items():
            assert {**one, "last_used": 0, "expires": 0} == {**known[name], "last_used": 0, "expires": 0}
        assert (await client.post(CHAT, json=chat(session_id=next(iter(known))))).status_code == 200

    async def third(client: httpx.AsyncClient) -> None:
        assert [one["id"] for one in (await client.get("/v1/sessions")).json()["data"]] == [list(known)[1]]

    server.run(first)
    server.run(second)
    server.clock.now = NOW + IDLE + IDLE / 4
    with server.database.change() as connection:
        connection.execute("UPDATE sessions SET used = created WHERE id = ?", (next(iter(known)),))
    server.run(third)


def test_a_crash_forgets_at_most_a_minute_of_uses(server: Server) -> None:
    async def main() -> None:
        sessions = sessions_in(server.database, server.engine, 10, server.clock)
        async with in_process(server.engine, KEYS, sessions) as client:
            session = (await opened(client))["id"]
            for _ in range(3):
                server.clock.now += timedelta(seconds=61)
                await client.post(CHAT, json=chat(session_id=session))
        # never closed: as after a crash
        assert server.database.rows("SELECT used FROM sessions") == [(int(server.clock.now.timestamp()),)]

    asyncio.run(main())


def test_a_session_that_cannot_be_remembered_is_not_opened(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(client: httpx.AsyncClient) -> None:
        def fail(*_: object) -> None:
            raise HostError("writing the store failed")

        with monkeypatch.context() as patch:
            patch.setattr("mohawk.store.sessions.SessionTable.write", fail)
            assert (await client.post("/v1/sessions", json={"model": MODEL})).status_code == 503
        assert (await client.get("/v1/sessions")).json()["data"] == []
        await opened(client)

    server.run(main, maximum=1)


def test_the_list_comes_in_pages_oldest_first(server: Server) -> None:
    async def main(client: httpx.AsyncClient) -> None:
        names = []
        for _ in range(5):
            names.append((await opened(client))["id"])
            server.clock.now += timedelta(seconds=1)
        page = (await client.get("/v1/sessions?limit=2")).json()
        assert ([one["id"] for one in page["data"]], page["has_more"]) == (names[:2], True)
        page = (await client.get(f"/v1/sessions?limit=3&after={names[1]}")).json()
        assert ([one["id"] for one in page["data"]], page["has_more"]) == (names[2:], False)
        for query in (
            "limit=0",
            "limit=1001",
            "limit=x",
            "limit=%D9%A3",
            "limit=-1",
            "after=x",
            f"after={uuid.uuid4()}",
        ):
            assert (await client.get(f"/v1/sessions?{query}")).status_code in (400, 404)

    server.run(main)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "model"),
        ({"model": "another"}, 404, "model"),
        ({"model": MODEL, "qos": "best"}, 400, "qos"),
        ({"model": MODEL, "qos": 1}, 400, "qos"),
        ({"model": MODEL, "tenant": 7}, 400, "tenant"),
        ({"model": MODEL, "routing": {"a": 1}}, 400, "routing"),
        ({"model": MODEL, "routing": {str(n): "" for n in range(17)}}, 400, "routing"),
        ({"model": MODEL, "id": "mine"}, 400, "id"),
        ({"model": MODEL, "routing": {"a": "b" * 65536}}, 413, None),
    ],
)
def test_bodies_that_are_refused(server: Server, body: dict[str, object], status: int, field: str | None) -> None:
    async def main(client: httpx.AsyncClient) -> None:
        response = await client.post("/v1/sessions", json=body)
        assert (response.status_code, response.json()["error"]["param"]) == (status, field)
        assert (await client.get("/v1/sessions")).json()["data"] == []

    server.run(main)


@pytest.mark.parametrize("name", ["", "x", 5, "../../etc/passwd", "x" * 65, "\x00"])
def test_session_ids_that_are_none(server: Server, name: object) -> None:
    async def main(client: httpx.AsyncClient) -> None:
        assert (await client.post(CHAT, json=chat(session_id=name))).status_code in (400, 404)
        assert server.engine.requests == []

    server.run(main)
