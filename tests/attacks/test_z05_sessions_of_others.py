"""Z05: a key of tenant A sees, uses, ends or lists tenant B's session -> 404 in the very words of a session that never
was, nothing generated, and B's session as it was.

Defence: api/sessions.py:Sessions.find; removed, whoever learns an id reads its statistics, speaks in its name, and ends
it. Defence: api/sessions.py:Sessions.of_tenant; removed, the list gives every tenant's ids away.
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

from mohawk.store.database import Database
from tests.api.toy import HEADERS, MODEL, ToyEngine, chat, in_process, key_named, keys_of, sessions_in

KEYS = keys_of(key_named("a", tenant="a"), key_named("b", tenant="b"))


def as_key(name: str) -> dict[str, str]:
    return HEADERS | {"authorization": f"Bearer mk-{name}"}


def test_a_session_of_another_tenant_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "mohawk.db").touch()
    engine = ToyEngine()

    async def main(database: Database) -> None:
        async with in_process(engine, KEYS, sessions_in(database, engine)) as client:
            session = (await client.post("/v1/sessions", json={"model": MODEL}, headers=as_key("b"))).json()

            async def answers(name: str) -> list[tuple[int, Any]]:
                path = f"/v1/sessions/{name}"
                body = chat(session_id=name)
                found = [
                    await client.get(path, headers=as_key("a")),
                    await client.delete(path, headers=as_key("a")),
                    await client.post("/v1/chat/completions", json=body, headers=as_key("a")),
                    await client.post("/v1/chat/completions", json=body | {"stream": True}, headers=as_key("a")),
                    await client.get(f"/v1/sessions?after={name}", headers=as_key("a")),
                ]
                return [(response.status_code, response.json()) for response in found]

            theirs, nobodys = await answers(session["id"]), await answers(str(uuid.uuid4()))
            assert theirs == nobodys
            assert {status for status, _ in theirs} == {404}
            assert (await client.get("/v1/sessions", headers=as_key("a"))).json()["data"] == []
            assert (await client.get(f"/v1/sessions/{session['id']}", headers=as_key("b"))).json() == session

    with closing(Database(tmp_path / "mohawk.db")) as database:
        asyncio.run(main(database))
    assert engine.requests == []
    assert engine.ended == []
