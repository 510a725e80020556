"""Memory for what must not reach a disk: opened weights and keys.

Rules, and the attack each stops:

1. Private anonymous memory: never a file, so nobody else can change it while we compute and it has no name to be read
   by.
2. Left out of core dumps, and the process itself undumpable: a crash does not write weights to disk (S18).
3. Locked against swap as far as the limit allows. How far is reported, never assumed: `locked_bytes` goes into the
   status.
4. Keys are always locked: where the limit does not allow one page for a key, it is not opened at all. (Weights are
   locked as far as it goes.)
5. Overwritten when given back, and a key that was given back is not used again: it would be all zeros. What a library
   copied ends with the process.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
from pathlib import Path
from types import TracebackType

from mohawk.crypto.primitives import Buffer, overwrite
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


class SecretBytes:
    """A key of ours, in a page of its own: locked, left out of core dumps, overwritten at the end of its `with` block
    or by `release`.

    One that is dropped unreleased is unmapped with its last user, and the kernel hands the page to nobody unzeroed.
    """

    __slots__ = ("_memory",)

    def __init__(self, size: int) -> None:
        """All zeros, to be filled through `view`. Raises HostError when not one page may be locked."""
        memory = allocate(size)
        if not memory.locked_bytes:
            raise HostError(
                "this process may not keep a key out of swap", hint="allow it some locked memory: ulimit -l 64 or more"
            )
        self._memory: Memory | None = memory

    @classmethod
    def random(cls, size: int) -> SecretBytes:
        """Fresh from the kernel, straight into the page."""
        secret = cls(size)
        if _libc().getrandom(_address(secret.view), ctypes.c_size_t(size), 0) != size:
            raise HostError("the kernel gave no randomness")
        return secret

    @classmethod
    def copy_of(cls, data: Buffer) -> SecretBytes:
        """For what a library hands out as bytes: those bytes cannot be overwritten, this copy can."""
        secret = cls(len(data))
        secret.view[:] = data
        return secret

    @property
    def view(self) -> memoryview:
        """The bytes themselves. Raises UsageError once they were given back."""
        if self._memory is None:
            raise UsageError("a key was used after it had been given back")
        return self._memory.view

    def release(self) -> None:
        """Overwrite it, in every view of it; more than once does no harm."""
        memory, self._memory = self._memory, None
        if memory is not None:
            memory.release()

    def __enter__(self) -> SecretBytes:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.release()


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
    return bool(_libc().mlock(_address(view), ctypes.c_size_t(len(view))) == 0)


def _address(view: memoryview) -> ctypes.c_void_p:
    return ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(view)))


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


def available_bytes() -> int:
    """Memory that this process could still take: what the machine has to give, within its control group's limit."""
    lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    free = next((int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")), 0)
    return max(0, min([free, *_group_rooms()]))


def _group_rooms() -> list[int]:
    """What is left of the limit of this process's control group and of those above it (cgroup v2)."""
    path = next((line[3:] for line in _lines("/proc/self/cgroup") if line.startswith("0::")), "/")
    groups = [Path("/sys/fs/cgroup") / path.strip("/"), *(Path("/sys/fs/cgroup") / path.strip("/")).parents][:-3]
    rooms = []
    for group in groups:
        most, used = _lines(group / "memory.max"), _lines(group / "memory.current")
        if most and used and most[0].isdecimal():
            rooms.append(int(most[0]) - int(used[0]))
    return rooms


def _lines(path: Path | str) -> list[str]:
    try:
        return Path(path).read_text("ascii").splitlines()
    except OSError:
        return []


def protect(view: memoryview) -> int:
    """Memory that a library took for weights: out of core dumps and, as far as the limit allows, out of swap. Returns
    how many of its bytes are locked, all or none.
    """
    begin = _address(view).value or 0
    whole = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE
    length = begin + len(view) - whole
    if length > 0:
        _libc().madvise(ctypes.c_void_p(whole), ctypes.c_size_t(length), mmap.MADV_DONTDUMP)
    return len(view) if _lock(view) else 0


def unprotect(view: memoryview) -> None:
    """What was protected has been overwritten: it no longer counts against the limit."""
    _libc().munlock(_address(view), ctypes.c_size_t(len(view)))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
