"""Standard input and output as a TPM: `python tpm_relay.py SOCKET`, for tools that can only start a program."""

from __future__ import annotations

import socket
import sys


def exact(size: int, read: object) -> bytes:
    data = b""
    while len(data) < size:
        block = read(size - len(data))  # type: ignore[operator]
        if not block:
            raise SystemExit(0)
        data += block
    return data


def message(read: object) -> bytes:
    head = exact(10, read)
    return head + exact(int.from_bytes(head[2:6], "big") - 10, read)


with socket.socket(socket.AF_UNIX) as tpm:
    tpm.connect(sys.argv[1])
    while True:
        tpm.sendall(message(sys.stdin.buffer.read))
        sys.stdout.buffer.write(message(tpm.recv))
        sys.stdout.buffer.flush()
