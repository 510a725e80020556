"""A probe on the bus between a machine and its TPM: it sees every byte, and may change answers on the way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

Change = Callable[[bytes, bytes], bytes]
"""(command, answer) -> the answer that arrives."""


def code(command: bytes) -> int:
    return int.from_bytes(command[6:10], "big")


@dataclass
class Bus:
    path: Path
    seen: list[bytes] = field(default_factory=list)
    change: Change = lambda command, answer: answer

    def said(self) -> dict[bytes, bytes]:
        """Commands with their answers."""
        return dict(zip(self.seen[::2], self.seen[1::2], strict=True))

    def holds(self, secret: bytes) -> bool:
        return any(secret in message for message in self.seen)


@contextmanager
def probed(tpm: Path, path: Path) -> Iterator[Bus]:
    """A second socket of the same TPM, at `path`, with the probe in between."""
    bus = Bus(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=_serve, args=(bus, listener, tpm), daemon=True)
        thread.start()
        try:
            yield bus
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            path.unlink()


def _serve(bus: Bus, listener: socket.socket, tpm: Path) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client, socket.socket(socket.AF_UNIX) as behind:
            behind.connect(str(tpm))
            _pass_on(bus, client, behind)


def _pass_on(bus: Bus, client: socket.socket, behind: socket.socket) -> None:
    while command := _message(client):
        bus.seen.append(command)
        behind.sendall(command)
        answer = _message(behind)
        bus.seen.append(answer)
        changed = bus.change(command, answer)
        client.sendall(changed)
        if len(changed) < 10:
            return  # and the line is cut


def _message(side: socket.socket) -> bytes:
    data = b""
    while len(data) < 10 or len(data) < int.from_bytes(data[2:6], "big"):
        block = side.recv(4096)
        if not block:
            return b""
        data += block
    return data
