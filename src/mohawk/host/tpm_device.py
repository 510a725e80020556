"""The way to this machine's TPM, a character device or the Unix socket of a swtpm; and what it says when it refuses.

One client at a time: a swtpm answers the next client when this one has left, and the kernel's resource manager
(/dev/tpmrm0) gives each open device its own view. So connections are short, and nothing is kept loaded between two.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from mohawk.errors import HostError

LARGEST_MESSAGE = 4096
"""Bytes of a command or response; TPMs allow 4096 at most."""
_HEADER = 10
_PATIENCE = 120.0
"""Seconds. A discrete TPM makes an RSA key in up to a minute, and another client may be before us."""

Exchange = Callable[[bytes], bytes]
"""One command in, its response out. Raises HostError."""

LOCKOUT, RETRY = 0x921, 0x922
POLICY_FAILED = 0x09D
HANDLE_UNKNOWN = 0x08B
INTEGRITY = 0x09F
_HINTS = {
    0x100: "this TPM was not started; firmware or the virtual machine does that",
    0x101: "this TPM failed its self-test; restart the machine",
    0x143: "this TPM lacks a command that is needed; a TPM 2.0 of 2016 or later is expected",
    0x14A: "this TPM has nothing there: no endorsement certificate, perhaps; ask its vendor",
    0x14B: "the TPM's own memory is full; remove persistent objects that nobody needs (tpm2_evictcontrol)",
    0x902: "the TPM's memory is full; another program left its objects there",
    0x903: "the TPM's memory is full; another program left its sessions there",
    LOCKOUT: "after too many wrong passwords, or power cuts, this TPM waits; see tpm2_dictionarylockout. What Mohawk"
    " made itself is exempt",
    HANDLE_UNKNOWN: "the object is not in this TPM; it was removed, the TPM was cleared, or this is another one",
    0x08E: "a password does not fit; the key file belongs to another TPM, or somebody set a hierarchy's password",
    0x0A2: "a password does not fit; the key file belongs to another TPM, or somebody set a hierarchy's password",
    POLICY_FAILED: "the machine is not in the state that this object asks for",
    INTEGRITY: "the key file belongs to another TPM, or this TPM was cleared: enrol this node anew",
}


class TpmError(HostError):
    """This machine's TPM refused. `response`: its code, without the parameter's or session's number."""

    code = "tpm_error"

    def __init__(self, doing: str, response: int) -> None:
        self.response = _plain(response)
        hint = _HINTS.get(self.response, "see the TPM 2.0 specification, part 2, 6.6")
        super().__init__(f"this machine's TPM refused {doing} (0x{response:03x})", hint=hint)


def broken_answer() -> HostError:
    """For a response that does not read as one, or is not authentic."""
    return HostError("this machine's TPM gave an answer that cannot be read, or that somebody changed on the way")


def _plain(response: int) -> int:
    """Without the number of the parameter, handle or session that a format-one code speaks of (TPM2 6.6.3)."""
    return response & 0xBF if response & 0x80 else response


@contextmanager
def open_device(path: Path) -> Iterator[tuple[Exchange, bool]]:
    """The TPM at `path`: how to talk to it, and whether the kernel tidies up behind us.

    Raises HostError: nothing there, no permission, or neither a device nor a socket.
    """
    with _translated(path):
        mode = path.stat().st_mode
    if stat.S_ISSOCK(mode):
        with closing(_connect(path)) as connection:
            yield lambda command: _talk_to_socket(path, connection, command), False
    elif stat.S_ISCHR(mode):
        with _opened(path) as descriptor:
            yield lambda command: _talk_to_device(path, descriptor, command), path.name.startswith("tpmrm")
    else:
        raise HostError(f"{path.name} is neither a TPM device nor a socket", hint="use /dev/tpmrm0")


def _connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_PATIENCE)
    try:
        with _translated(path):
            connection.connect(str(path))
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    with _translated(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _talk_to_device(path: Path, descriptor: int, command: bytes) -> bytes:
    with _translated(path):
        os.write(descriptor, command)
        return os.read(descriptor, LARGEST_MESSAGE)


def _talk_to_socket(path: Path, connection: socket.socket, command: bytes) -> bytes:
    response = b""
    with _translated(path):
        connection.sendall(command)
        while missing := _announced(response) - len(response):
            block = connection.recv(missing)
            if not block:
                raise HostError("this machine's TPM closed the connection", hint="is its swtpm still running?")
            response += block
    return response


def _announced(response: bytes) -> int:
    """How many bytes a response has, as far as is known yet."""
    if len(response) < _HEADER:
        return _HEADER
    size = int.from_bytes(response[2:6], "big")
    if not _HEADER <= size <= LARGEST_MESSAGE:
        raise broken_answer()
    return size


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise HostError("this machine's TPM does not answer", hint="another program may be holding it") from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "input/output error"
        raise HostError(
            f"talking to the TPM at {path} failed: {reason}",
            hint="switch it on in the firmware, and let the service's user open it (group tss)",
        ) from error
