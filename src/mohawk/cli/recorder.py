"""A forwarding TCP proxy that keeps what it sees: the wire, as somebody on the network would have it."""

from __future__ import annotations

import asyncio
import contextlib

_BLOCK = 1 << 16


class Recorder:
    """Forwards one local port to another and records both directions. Give nodes `port` instead of the real one."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self.port = 0
        self.streams: list[bytearray] = []
        """One per connection and direction, in order of their beginning."""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pump(reader, onward_writer), self._pump(onward_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = bytearray()
        self.streams.append(stream)
        with contextlib.suppress(OSError):
            while block := await reader.read(_BLOCK):
                stream += block
                writer.write(block)
                await writer.drain()
        writer.close()
