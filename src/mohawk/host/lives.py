"""One life after another: each a fork of one beginning, so that what it knew ends with its address space.

Only the end of a process is the end of every copy of a key that a library made (adr/0023). What follows it need not
import everything once more: the beginning has, and does nothing but fork, wait and pass on signals.

Rules, and the attack each stops:

1. The beginning opens no secret and hears no peer: nothing that one life knew lies in memory that the next one gets
   (S18). From life to life goes what the first one returns, some bytes by a pipe.
2. Only a life that asks for it is followed by another. All of them have one memory layout: whoever crashes one, to
   learn where things lie, has no second try.
3. The kernel kills a life whose beginning is gone: no opened weights in a process that nobody knows of.
4. Forked while there is one thread of ours: in no life a lock is held by a thread that it does not have. What draws
   randomness, the kernel and OpenSSL, draws anew in each fork.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from collections.abc import Callable

from mohawk.errors import HostError

ENDING_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM})
_PR_SET_PDEATHSIG = 1
_MOST_LEFT = 4096
"""Bytes that a pipe takes at once, whoever reads."""

Life = Callable[[bytes], bytes | None]
"""Given what the life before it left, the first one nothing; returns what it leaves, None when it is the last."""


def live(life: Life) -> None:
    """Run `life` in a process of its own, and again in another for as long as each leaves something.

    Returns in every one of these processes at its end, or raises there what `life` raised: nothing may follow. In this
    one it returns after the last, or raises SystemExit with its exit code (128 and the signal that killed it).
    SIGINT and SIGTERM reach the life that runs, and make it the last. From the second on a life begins with both held
    back, so that none is lost, and lets them in when it can end in order. Raises HostError when no process can be
    started.
    """
    left: bytes | None = b""
    while left is not None:
        left = _begin(life, left)


def _begin(life: Life, left: bytes) -> bytes | None:
    """One life. In the beginning: what it leaves, None when nothing follows. In the life: None, at its end."""
    assert threading.active_count() == 1  # rule 4
    reader, writer = os.pipe()
    beginning = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, {*ENDING_SIGNALS, signal.SIGCHLD})
    try:
        child = os.fork()
    except OSError as error:
        raise HostError("the worker's process cannot be started") from error
    if child == 0:
        os.close(reader)
        _end_with(beginning)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD} | (set() if left else ENDING_SIGNALS))
        after = life(left)
        if after is not None:
            os.write(writer, after)
            os._exit(0)  # as by exec: what a library does at an interpreter's end cannot fail, and takes no time
        return None
    os.close(writer)
    return _watch(child, reader)


def _watch(child: int, reader: int) -> bytes | None:
    """Until it has ended. Raises SystemExit when it ended in any other way than by the end of its work."""
    is_asked_for = False
    while True:
        number = signal.sigwait({*ENDING_SIGNALS, signal.SIGCHLD})
        if number != signal.SIGCHLD:
            is_asked_for = True
            os.kill(child, number)
            continue
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended == child:
            break
    with open(reader, "rb") as pipe:
        left = pipe.read(_MOST_LEFT)
    code = os.waitstatus_to_exitcode(status)
    if code != 0:
        raise SystemExit(code if code > 0 else 128 - code)
    return left if left and not is_asked_for else None


def _end_with(beginning: int) -> None:
    """Rule 3. Raises HostError when the beginning has ended before it could be asked for."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != beginning:
        raise HostError("whoever started this process is gone")
