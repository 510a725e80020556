"""A load generator in a process of its own: HTTP sessions over one event loop, every piece of every answer timed.

    python -m bench.load < job.json > result.json

A job is {"server": address, "connect_first": whether the clock starts when all are connected, "pooled": whether a
session that has ended leaves its connection to a later one, as HTTP libraries do, "sources": from how many addresses of
this machine they come, "named": whether each is opened at the server first (POST /v1/sessions, which only
Mohawk has) and its requests name it, "at_once": how many requests may be under way, None for any number, "watch": a
process of the server's, or None, "sessions": [{"start": seconds, "pause": seconds between two requests, "requests":
[{"prompt": token ids, "tokens": how many to ask for}]}]}. The result is {"began": of the monotonic clock, which all
processes of a machine share, "processor_seconds": our own from then on, "watched_seconds": that process' own,
"answers": [`Answer`]}. Both servers speak the OpenAI API, so both get the same bytes.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import ssl
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h11

from bench.answers import Answer
from bench.machine import Meter

NICE = 5
CONNECTING_AT_ONCE = 16
"""More handshakes than this at a time would measure Mohawk's door, which has a limit for each source."""


@dataclass(slots=True)
class Connection:
    """HTTP/1.1, one request at a time."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    http: h11.Connection = field(default_factory=lambda: h11.Connection(h11.CLIENT))

    async def send(self, server: dict[str, Any], path: str, body: dict[str, Any]) -> None:
        data = json.dumps(body, separators=(",", ":")).encode("ascii")
        headers = [("host", server["host"]), ("content-type", "application/json"), ("content-length", str(len(data)))]
        headers += [("authorization", f"Bearer {server['key']}")] if server["key"] else []
        head = self.http.send(h11.Request(method="POST", target=path, headers=headers))
        rest = self.http.send(h11.Data(data)), self.http.send(h11.EndOfMessage())
        self.writer.write(b"".join(part or b"" for part in (head, *rest)))
        await self.writer.drain()

    async def events(self) -> AsyncIterator[h11.Response | h11.Data]:
        """One answer. Raises EOFError, h11.RemoteProtocolError and OSError when the server breaks it off."""
        while True:
            event = self.http.next_event()
            if event is h11.NEED_DATA:
                data = await self.reader.read(1 << 16)
                if not data and self.http.their_state is not h11.SEND_BODY:
                    raise EOFError
                self.http.receive_data(data)
            elif isinstance(event, h11.Response | h11.Data):
                yield event
            elif isinstance(event, h11.EndOfMessage):
                return
            elif isinstance(event, h11.ConnectionClosed):
                raise EOFError

    @property
    def is_reusable(self) -> bool:
        return self.http.our_state is h11.DONE and self.http.their_state is h11.DONE

    @property
    def is_closed(self) -> bool:
        """By the server, which keeps no connection for ever that asks for nothing."""
        return self.reader.at_eof()

    def close(self) -> None:
        self.writer.close()


@dataclass(slots=True)
class Client:
    """One session. `name`: what the server calls it, "" where it knows none."""

    number: int
    connection: Connection | None = None
    name: str = ""


class Generator:
    def __init__(self, job: dict[str, Any]) -> None:
        self._server = job["server"]
        self._job = job
        roots = self._server["roots"]
        self._tls = ssl.create_default_context(cadata=Path(roots).read_text("ascii")) if roots else None
        self._door = asyncio.Semaphore(CONNECTING_AT_ONCE)
        self._turns = asyncio.Semaphore(job["at_once"] or len(job["sessions"]))
        self._began = 0.0
        self._pool: list[Connection] = []
        self.answers: list[Answer] = []

    async def run(self) -> dict[str, Any]:
        sessions = self._job["sessions"]
        clients = [Client(number) for number in range(len(sessions))]
        if self._job["connect_first"]:
            await asyncio.gather(*map(self._prepare, clients))
        self._began = time.monotonic()
        meter = Meter(filter(None, (os.getpid(), self._job["watch"])))
        await asyncio.gather(*map(self._session, clients, sessions))
        return {
            "began": self._began,
            "processor_seconds": meter.used(os.getpid()),
            "watched_seconds": meter.used(self._job["watch"]) if self._job["watch"] else 0.0,
            "answers": [dataclasses.asdict(answer) for answer in self.answers],
        }

    async def _prepare(self, client: Client) -> None:
        connection = client.connection = await self._connect(client.number)
        if not self._job["named"]:
            return
        await connection.send(self._server, "/v1/sessions", {"model": self._server["model"]})
        body = b"".join([bytes(event.data) async for event in connection.events() if isinstance(event, h11.Data)])
        client.name = json.loads(body)["id"]
        client.connection = self._again(connection)

    async def _connect(self, number: int) -> Connection:
        own = (f"127.0.0.{1 + number % self._job['sources']}", 0)
        host, port = self._server["host"], self._server["port"]
        async with self._door:
            return Connection(*await asyncio.open_connection(host, port, ssl=self._tls, local_addr=own))

    async def _session(self, client: Client, session: dict[str, Any]) -> None:
        await asyncio.sleep(session["start"] - self._now())
        for turn, request in enumerate(session["requests"]):
            if turn:
                await asyncio.sleep(session["pause"])
            async with self._turns:
                await self._turn(client, turn, request)
        if client.connection is not None and self._job["pooled"]:
            self._pool.append(client.connection)
        elif client.connection is not None:
            client.connection.close()

    async def _turn(self, client: Client, turn: int, request: dict[str, Any]) -> None:
        answer = Answer(client.number, turn, self._now(), asked=request["tokens"])
        self.answers.append(answer)
        try:
            while client.connection is None or client.connection.is_closed:
                client.connection = self._pool.pop() if self._pool else await self._connect(client.number)
            answer.connected = self._now()
            await self._ask(client.connection, client.name, request, answer)
        except (OSError, EOFError, h11.RemoteProtocolError) as error:
            answer.error = type(error).__name__
        answer.ended = self._now()
        if client.connection is not None:
            client.connection = self._again(client.connection)

    def _again(self, connection: Connection) -> Connection | None:
        if connection.is_reusable:
            connection.http.start_next_cycle()
            return connection
        connection.close()
        return None

    async def _ask(self, connection: Connection, name: str, request: dict[str, Any], answer: Answer) -> None:
        body = {
            "model": self._server["model"],
            "prompt": request["prompt"],
            "max_tokens": request["tokens"],
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if name:
            body["session_id"] = name
        await connection.send(self._server, "/v1/completions", body)
        rest = b""
        async for event in connection.events():
            if isinstance(event, h11.Response):
                answer.status = event.status_code
                answer.headed = self._now()
                answer.retry_after = next((v.decode() for k, v in event.headers if k == b"retry-after"), None)
            else:
                *whole, rest = (rest + bytes(event.data)).split(b"\n\n")
                for text in whole:
                    self._take(text, answer)
        if answer.status != 200:
            answer.error = str(json.loads(rest)["error"]["code"])

    def _take(self, text: bytes, answer: Answer) -> None:
        if not text.startswith(b"data: ") or text.startswith(b"data: [DONE]"):
            return
        event = json.loads(text[6:])
        if "error" in event:
            answer.error = str(event["error"]["code"])
        if event.get("usage"):
            answer.tokens = event["usage"]["completion_tokens"]
        if any(choice["text"] for choice in event.get("choices", ())):
            answer.pieces.append(round(self._now(), 5))

    def _now(self) -> float:
        return time.monotonic() - self._began


def main() -> None:
    os.nice(NICE)
    json.dump(asyncio.run(Generator(json.load(sys.stdin)).run()), sys.stdout)


if __name__ == "__main__":
    main()
