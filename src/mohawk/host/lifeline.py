"""Secrets through an inherited pipe, which is also a lifeline: when its other end closes, the child ends.

Rules, and the attack each stops:
- A secret never stands in argv or the environment: other users and crash reports read both.
- A parent that is killed leaves no process that still holds opened weights: the end of the pipe is noticed however the
  parent died.
"""

from __future__ import annotations

import os

from mohawk.errors import HostError

_MAXIMUM = 1 << 18


def write_secrets(descriptor: int, *parts: bytes) -> None:
    """Hand `parts` to the child; the descriptor stays open, as the child's lifeline. Raises HostError."""
    data = len(parts).to_bytes(4, "big") + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        raise HostError("a child ended before it took its identity") from None


def read_secrets(descriptor: int) -> tuple[bytes, ...]:
    """What the parent handed over. Raises HostError."""
    count = int.from_bytes(_read_exactly(descriptor, 4), "big")
    if count > 16:
        raise HostError("an identity pipe with something else in it")
    return tuple(_read_part(descriptor) for _ in range(count))


def _read_part(descriptor: int) -> bytes:
    size = int.from_bytes(_read_exactly(descriptor, 4), "big")
    if size > _MAXIMUM:
        raise HostError("an identity pipe with something else in it")
    return _read_exactly(descriptor, size)


def _read_exactly(descriptor: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        block = os.read(descriptor, size - len(data))
        if not block:
            raise HostError("the identity pipe ended early", hint="the parent process is gone")
        data += block
    return data
