"""Memory for what must not reach a disk: opened weights and keys.

Rules, and the attack each stops:

1. Private anonymous memory: never a file, so nobody else can change it while we compute and it has no name to be read
   by.
2. Left out of core dumps, and the process itself undumpable: a crash does not write weights to disk (S18).
3. Locked against swap as far as the limit allows. How far is reported, never assumed: `locked_bytes` goes into the
   status.
4. Overwritten when given back. What a library copied ends with the process.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
from pathlib import Path

from mohawk.crypto.primitives import overwrite
from mohawk.errors import HostError, UsageError

_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4


class Memory:
    """`size` writable bytes in `view`, zero at first, starting at a page boundary.

    The mapping is given back when the last object that looks into it is gone: a tensor made from `view` keeps it
    alive. It is never unmapped by hand, because reading such a tensor would then be a crash.
    """

    __slots__ = ("locked_bytes", "view")

    def __init__(self, view: memoryview, locked_bytes: int) -> None:
        self.view = view
        self.locked_bytes = locked_bytes

    def release(self) -> None:
        """Overwrite every byte. Tensors made from it read zeros from now on."""
        overwrite(self.view)


def allocate(size: int) -> Memory:
    """`size` bytes, kept out of core dumps and, as far as the limit allows, out of swap. Raises HostError when memory
    is short.
    """
    if size < 1:
        raise UsageError("memory of less than one byte")
    try:
        mapping = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError:
        raise HostError("not enough memory for this slice", hint="give this worker fewer layers") from None
    mapping.madvise(mmap.MADV_DONTDUMP)
    view = memoryview(mapping)
    return Memory(view, size if _lock(view) else 0)


def _lock(view: memoryview) -> bool:
    """mlock the whole or nothing. False: over RLIMIT_MEMLOCK, the usual case for weights of an unprivileged process."""
    address = ctypes.addressof(ctypes.c_char.from_buffer(view))
    return bool(_libc().mlock(ctypes.c_void_p(address), ctypes.c_size_t(len(view))) == 0)


def harden_process() -> None:
    """No core file, no /proc/<pid>/mem and no ptrace for other processes of the same user. Call it before the first
    key arrives. Raises HostError when the kernel does not do so: a process that may be dumped must not hold keys.
    """
    libc = _libc()
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if libc.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 or resource.getrlimit(resource.RLIMIT_CORE) != (0, 0):
        raise HostError("this process cannot be protected against memory dumps", hint="run it outside a debugger")


def resident_bytes() -> int:
    """This process's resident memory."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
