"""The recording proxy: it changes nothing and misses nothing."""

from __future__ import annotations

import asyncio
import random

from mohawk.cli.evidence import Secrets, search_wire
from mohawk.cli.recorder import Recorder
from tests.support.nodes import run

REQUEST, ANSWER = random.Random(3).randbytes(300_000), random.Random(4).randbytes(200_000)


def test_both_directions_pass_and_are_kept():
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(len(REQUEST)) == REQUEST
        writer.write(ANSWER)
        await writer.drain()
        writer.close()

    async def main() -> Recorder:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        recorder = Recorder(server.sockets[0].getsockname()[1])
        await recorder.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", recorder.port)
        writer.write(REQUEST)
        assert await reader.read(-1) == ANSWER
        writer.close()
        await writer.wait_closed()
        await recorder.stop()
        server.close()
        return recorder

    recorder = run(main)
    assert [bytes(stream) for stream in recorder.streams] == [REQUEST, ANSWER]
    secrets = Secrets([REQUEST[1000:1048]], [b"k" * 32], [ANSWER[-20:]], ())
    assert [finding.found for finding in search_wire(recorder.streams, secrets)] == [1, 0, 1, 0]


def test_a_target_that_is_not_there_ends_the_connection():
    async def main() -> bytes:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        closed = server.sockets[0].getsockname()[1]
        server.close()
        recorder = Recorder(closed)
        await recorder.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", recorder.port)
        found = await reader.read(-1)
        writer.close()
        await recorder.stop()
        return found

    assert run(main) == b""
