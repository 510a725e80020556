"""The HTTPS server as clients meet it: official client, curl, and manners enforced on those who have none."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from mohawk.api.guard import Limits
from mohawk.api.server import Door, serve
from mohawk.errors import HostError, UnavailableError
from tests.api.serving import (
    PATIENCE,
    authority,
    classical,
    post_quantum,
    raw_client,
    request_bytes,
    request_head,
    serving,
)
from tests.api.toy import KEY, MODEL, ToyEngine, application, chat, events

TEXT = "Grüße 😀"
MESSAGES: Any = [{"role": "user", "content": "Hi"}]


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), 4 * PATIENCE))


@asynccontextmanager
async def official_client(port: int, context: Any, key: str = KEY) -> AsyncIterator[openai.AsyncOpenAI]:
    async with httpx.AsyncClient(verify=context) as http:
        url = f"https://localhost:{port}/v1"
        yield openai.AsyncOpenAI(base_url=url, api_key=key, http_client=http, max_retries=0)


@pytest.mark.parametrize(("context", "group"), [(post_quantum, "X25519MLKEM768"), (classical, "x25519")])
def test_the_official_client_is_served(context: Callable[[], Any], group: str) -> None:
    async def main() -> None:
        async with serving(ToyEngine()) as server, official_client(server.port, context()) as client:
            assert [model.id async for model in client.models.list()] == [MODEL]
            raw = await client.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES)
            assert raw.headers["x-mohawk-tls-group"] == group
            whole = raw.parse()
            assert whole.choices[0].message.content == TEXT
            assert whole.usage is not None
            assert whole.usage.completion_tokens == len(TEXT.encode()) + 1
            stream = await client.chat.completions.create(
                model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
            )
            chunks = [chunk async for chunk in stream]
            assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == TEXT
            assert chunks[-1].usage == whole.usage
            plain = await client.completions.create(model=MODEL, prompt="Hi", max_tokens=5)
            assert (plain.choices[0].text, plain.choices[0].finish_reason) == ("Grü"[:3] + "\ufffd", "length")

    run(main)


def test_an_answer_can_be_sent_back_as_the_next_turn() -> None:
    async def main() -> None:
        async with serving(ToyEngine()) as server, official_client(server.port, post_quantum()) as client:
            first = await client.chat.completions.create(model=MODEL, messages=MESSAGES)
            again: Any = [*MESSAGES, first.choices[0].message, *MESSAGES]
            second = await client.chat.completions.create(model=MODEL, messages=again)
            assert second.choices[0].message.content == TEXT

    run(main)


def test_the_official_client_raises_its_own_errors() -> None:
    async def main() -> None:
        engine = ToyEngine()
        async with serving(engine) as server:
            async with official_client(server.port, post_quantum(), "mk-wrong") as client:
                with pytest.raises(openai.AuthenticationError):
                    await client.models.list()
            async with official_client(server.port, post_quantum()) as client:
                with pytest.raises(openai.NotFoundError):
                    await client.chat.completions.create(model="gpt-4", messages=MESSAGES)
                with pytest.raises(openai.BadRequestError) as refusal:
                    await client.chat.completions.create(model=MODEL, messages=MESSAGES, n=9)
                assert refusal.value.param == "n"
                engine.fails_at, engine.failure = 3, UnavailableError("gone")
                stream = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
                with pytest.raises(openai.APIError, match="cannot be served"):
                    [chunk async for chunk in stream]

    run(main)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    ("key", "body", "status"),
    [
        (KEY, json.dumps(chat()).encode(), 200),
        ("mk-wrong", json.dumps(chat()).encode(), 401),
        (KEY, b"x" * (11 << 20), 413),
        ("mk-wrong", b"x" * (11 << 20), 401),
        (KEY, b'{"model": ', 400),
    ],
)
def test_curl(key: str, body: bytes, status: int, tmp_path: Path) -> None:
    root, data = tmp_path / "root.pem", tmp_path / "body"
    root.write_bytes(authority().root.certificate.pem)
    data.write_bytes(body)

    async def main() -> None:
        async with serving(ToyEngine()) as server:
            curl = await asyncio.create_subprocess_exec(
                *("curl", "-sS", "--cacert", str(root), "-H", f"Authorization: Bearer {key}"),
                *("--data-binary", f"@{data}", "-w", "\n%{http_code}"),
                f"https://localhost:{server.port}/v1/chat/completions",
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            output, complaint = await asyncio.wait_for(curl.communicate(), PATIENCE)
            answer, _, code = output.rpartition(b"\n")
            assert (int(code), complaint) == (status, b"")
            assert ("error" in json.loads(answer)) == (status != 200)

    run(main)


def test_small_writes_are_not_held_back() -> None:
    """Without TCP_NODELAY each event waits for the client's delayed acknowledgement, some 40 ms."""

    async def main() -> None:
        async with serving(ToyEngine(b"x" * 200)) as server, raw_client(server.port) as client:
            begin = time.monotonic()
            for _ in range(50):
                await client.send(request_bytes(chat(max_tokens=2)))
                assert (await client.answer())[0] == 200
            assert time.monotonic() - begin < 50 * 0.03

    run(main)


def test_an_oversized_body_is_refused_by_its_length_and_while_it_streams() -> None:
    async def main() -> None:
        engine = ToyEngine()
        async with serving(engine) as server:
            async with raw_client(server.port) as client:
                await client.send(request_head(length=(10 << 20) + 1))
                status, _, body = await client.answer()
                assert (status, json.loads(body)["error"]["code"]) == (413, "request_too_large")
            async with raw_client(server.port) as client:
                await client.send(request_head(length=None))
                chunk = b"10000\r\n" + b" " * (1 << 16) + b"\r\n"
                for _ in range(161):
                    await client.send(chunk)
                assert (await client.answer())[0] == 413
        assert engine.requests == []

    run(main)


def test_a_connection_serves_several_requests_and_ends_when_idle() -> None:
    async def main() -> None:
        async with serving(ToyEngine(), Limits(idle_seconds=0.3)) as server, raw_client(server.port) as client:
            for _ in range(3):
                await client.send(request_bytes(chat()))
                assert (await client.answer())[0] == 200
            await client.hung_up()

    run(main)


def test_a_refused_body_may_still_arrive_but_not_for_long() -> None:
    """The connection can be used again after the whole body came; who only drips is cut off."""

    async def main() -> None:
        async with serving(ToyEngine(), Limits(linger_seconds=0.3)) as server, raw_client(server.port) as client:
            body = json.dumps(chat()).encode()
            await client.send(request_head(length=len(body), key="mk-wrong"))
            assert (await client.answer())[0] == 401
            await client.send(body + request_bytes(chat()))
            assert (await client.answer())[0] == 200
            await client.send(request_head(length=1000, key="mk-wrong"))
            assert (await client.answer())[0] == 401
            assert await client.drip(b"x" * 900, 0.02) == b""

    run(main)


def test_a_head_beyond_its_limit_is_refused() -> None:
    async def main() -> None:
        async with serving(ToyEngine(), Limits(head_bytes=4096)) as server:
            for head in (b"GET /healthz HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 4000, b"GET /" + b"x" * 24000):
                async with raw_client(server.port) as client:
                    await client.send(head + b"\r\n\r\n")
                    status, _, _ = await client.answer()
                    assert status == 400

    run(main)


@pytest.mark.parametrize("garbage", [b"\x00\x01\x02\r\n\r\n", b"HELO me\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_not_http_gets_openais_shape_and_the_door(garbage: bytes) -> None:
    async def main() -> None:
        async with serving(ToyEngine()) as server, raw_client(server.port) as client:
            await client.send(garbage)
            head, _, body = (await asyncio.wait_for(client.reader.read(-1), PATIENCE)).partition(b"\r\n\r\n")
            assert b" 400 " in head
            assert b"uvicorn" not in head.lower()
            assert b'{"error": {"message": "Bad Request"' in body

    run(main)


def test_headers_that_claim_another_address_or_scheme_change_nothing() -> None:
    async def main() -> None:
        async with serving(ToyEngine()) as server, raw_client(server.port) as client:
            await client.send(
                b"GET /v1/models HTTP/1.1\r\nhost: evil.example\r\nx-forwarded-for: 127.0.0.1\r\n"
                b"x-forwarded-proto: http\r\nforwarded: for=127.0.0.1\r\n\r\n"
            )
            status, headers, _ = await client.answer()
            assert status == 401
            assert "evil" not in str(headers)

    run(main)


def test_connections_are_counted_from_accept_on() -> None:
    async def main() -> None:
        door = Door(connections=3, half_open_per_source=2)
        async with serving(ToyEngine(), door=door) as server:
            silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
            assert await asyncio.wait_for(silent[2][0].read(1), PATIENCE) == b""  # a third half-open one: refused
            silent[0][1].close()
            await silent[0][1].wait_closed()
            async with raw_client(server.port) as one, raw_client(server.port) as two:
                for client in (one, two):
                    await client.send(request_bytes(chat()))
                    assert (await client.answer())[0] == 200
                fourth = await asyncio.open_connection("127.0.0.1", server.port)
                await one.hung_up()  # it was idle for longest
                assert server.connections == 3
                for _, one_writer in (*silent, fourth):
                    one_writer.transport.abort()

    run(main)


def test_closing_lets_an_answer_end() -> None:
    async def main() -> None:
        engine = ToyEngine()
        engine.waits_at = 3
        async with serving(engine) as server, raw_client(server.port) as client, raw_client(server.port) as idle:
            await client.send(request_bytes(chat(stream=True)))
            await asyncio.wait_for(engine.waiting.wait(), PATIENCE)
            closing = asyncio.create_task(server.close(PATIENCE))
            await idle.hung_up()
            engine.go.set()
            text = (await asyncio.wait_for(client.reader.read(-1), PATIENCE)).decode()
            assert "[DONE]" in text
            await closing
            assert server.connections == 0

    run(main)


def test_closing_cuts_off_what_does_not_end() -> None:
    async def main() -> None:
        engine = ToyEngine()
        engine.waits_at = 3
        async with serving(engine) as server, raw_client(server.port) as client:
            await client.send(request_bytes(chat(stream=True)))
            await asyncio.wait_for(engine.waiting.wait(), PATIENCE)
            await server.close(grace_seconds=0.1)
            await client.hung_up()
            assert engine.running == 0

    run(main)


def test_an_address_in_use_is_a_typed_error() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(HostError, match="cannot listen"):
            await serve(application(ToyEngine()), "127.0.0.1", taken.getsockname()[1], classical())

    run(main)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize("answer", [b"abc", "😀".encode(), b""])
def test_a_stream_is_the_same_in_chunks_and_to_the_end_of_the_connection(path: str, answer: bytes) -> None:
    """HTTP/1.1 frames the events in chunks, HTTP/1.0 not at all. Nothing to show yet is no chunk: an empty one would be
    the end.
    """
    body = {"model": MODEL, "prompt": "Hi", "stream": True} if path == "/v1/completions" else chat(stream=True)

    async def ask(port: int, version: bytes) -> bytes:
        async with raw_client(port) as client:
            request = request_bytes(body, path=path).replace(b"HTTP/1.1", version, 1)
            await client.send(request.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1))
            assert (await client.answer())[0] == 200
            return await asyncio.wait_for(client.reader.read(-1), PATIENCE)

    async def main() -> None:
        async with serving(ToyEngine(answer)) as server:
            whole, chunked = await ask(server.port, b"HTTP/1.0"), await ask(server.port, b"HTTP/1.1")
        assert whole.endswith(b"data: [DONE]\n\n")
        assert [without_head(event) for event in _unframe(chunked).split(b"\n\n")] == [
            without_head(event) for event in whole.split(b"\n\n")
        ]

    def without_head(event: bytes) -> bytes:
        return event[event.find(b'"choices"') :]

    run(main)


def _unframe(chunked: bytes) -> bytes:
    """RFC 9112, 7.1."""
    data = b""
    while chunked:
        size, _, rest = chunked.partition(b"\r\n")
        length = int(size, 16)
        data, chunked = data + rest[:length], rest[length + 2 :]
    return data


def test_events_arrive_while_the_answer_is_computed() -> None:
    async def main() -> None:
        engine = ToyEngine(b"abcdef")
        engine.waits_at = 3
        async with serving(engine) as server, raw_client(server.port) as client:
            await client.send(request_bytes(chat(stream=True)))
            await client.answer()
            seen = b""
            while b'"c"' not in seen:
                seen += await asyncio.wait_for(client.reader.read(4096), PATIENCE)
            assert b'"d"' not in seen
            engine.go.set()
            while b"[DONE]" not in seen:
                seen += await asyncio.wait_for(client.reader.read(4096), PATIENCE)

    run(main)
    assert events("data: [DONE]\n\n") == ["[DONE]"]
