"""A child process for work that may have to be killed: its two pipes, with deadlines."""

from __future__ import annotations

import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Mapping

from mohawk.errors import HostError

LENGTH = struct.Struct("!I")
"""Before each message of a child that speaks frames."""
_BLOCK = 1 << 16


class Child:
    """One of our own modules as a process, with nothing of our environment. Its pipes never block longer than asked.

    Raises HostError when it cannot be started. `write` and `read` raise TimeoutError at their deadline (seconds of
    `time.monotonic`), and BrokenPipeError or EOFError when the child is gone; then only `kill` is left to call.
    """

    def __init__(self, module: str, environment: Mapping[str, str] | None = None) -> None:
        command = [sys.executable, "-I", "-X", "utf8", "-m", module]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell, no input in it
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=dict(environment or {}),
                bufsize=0,
                start_new_session=True,  # a Ctrl-C on the terminal is the parent's to handle
            )
        except OSError as error:
            raise HostError("a child process cannot be started") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        os.set_blocking(self._input.fileno(), False)

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def write(self, data: bytes, deadline: float) -> None:
        rest = memoryview(data)
        while rest:
            _await(self._input.fileno(), select.POLLOUT, deadline)
            rest = rest[os.write(self._input.fileno(), rest[:_BLOCK]) :]

    def read(self, most: int, deadline: float) -> bytes:
        """At least one byte, and at most `most`."""
        _await(self._output.fileno(), select.POLLIN, deadline)
        block = os.read(self._output.fileno(), min(most, _BLOCK))
        if not block:
            raise EOFError
        return block

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._input.close()
        self._output.close()


def _await(descriptor: int, event: int, deadline: float) -> None:
    """Block until the pipe is ready. Raises TimeoutError at the deadline."""
    poll = select.poll()
    poll.register(descriptor, event)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise TimeoutError
