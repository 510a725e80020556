"""Protects opened weights in memory: private, out of core dumps, overwritten; and what was achieved is reported
truthfully.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from mohawk.errors import UsageError
from mohawk.host.memory import SecretBytes, allocate, available_bytes, protect, resident_bytes, unprotect

_IN_A_CHILD = """
from pathlib import Path
from mohawk.host.memory import harden_process
harden_process()
print(next(l for l in Path('/proc/self/limits').read_text().splitlines() if 'core' in l).split()[4:6])
import ctypes
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""
_LIMITED = """
import os
import resource
from mohawk.host.memory import allocate
import os
resource.setrlimit(resource.RLIMIT_MEMLOCK, (4096, 4096))
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)
memory = allocate(1 << 20)
print(memory.locked_bytes)
memory.view[:4] = b"good"
"""
_NO_LOCKING = """
import os, resource
from mohawk.errors import HostError
from mohawk.host.memory import SecretBytes
resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)
try:
    SecretBytes(32)
except HostError as error:
    print("ulimit -l" if "ulimit -l" in error.hint else error)
"""


def mapping_flags(view: memoryview) -> set[str]:
    """The kernel's own word on the mapping that holds `view`."""
    import ctypes

    address = ctypes.addressof(ctypes.c_char.from_buffer(view))
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        head = line.split()[0]
        if "-" in head and not head.endswith(":"):
            begin, end = (int(part, 16) for part in head.split("-"))
            inside = begin <= address < end
        elif inside and line.startswith("VmFlags:"):
            return set(line.split()[1:])
    raise AssertionError("mapping not found")


def test_memory_is_private_undumped_and_zero() -> None:
    memory = allocate(1 << 20)
    assert bytes(memory.view) == bytes(1 << 20)
    flags = mapping_flags(memory.view)
    assert "dd" in flags
    assert "sh" not in flags
    assert ("lo" in flags) == (memory.locked_bytes == 1 << 20)


def test_release_overwrites_what_others_still_look_at() -> None:
    memory = allocate(100_000)
    memory.view[:] = b"w" * 100_000
    seen = memory.view[50_000:]
    memory.release()
    assert bytes(seen) == bytes(50_000)


def test_a_view_keeps_the_mapping_alive() -> None:
    view = allocate(4096).view
    view[:4] = b"good"
    assert bytes(view[:4]) == b"good"


def test_a_low_limit_is_reported_not_hidden() -> None:
    output = subprocess.run([sys.executable, "-c", _LIMITED], check=True, capture_output=True, text=True).stdout
    assert output.split() == ["0"]


def test_locked_within_the_limit() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft < 1 << 20 and soft != resource.RLIM_INFINITY:
        pytest.skip("this machine's RLIMIT_MEMLOCK is below 1 MiB")
    assert allocate(1 << 16).locked_bytes == 1 << 16


def test_hardening_in_a_process_of_its_own() -> None:
    output = subprocess.run([sys.executable, "-c", _IN_A_CHILD], check=True, capture_output=True, text=True).stdout
    limits, dumpable = output.splitlines()
    assert limits == "['0', '0']"
    assert dumpable == "0"


def test_resident_bytes_follow_what_is_touched() -> None:
    before = resident_bytes()
    memory = allocate(64 << 20)
    memory.view[:] = b"x" * (64 << 20)
    assert resident_bytes() - before > 60 << 20


@pytest.mark.parametrize("size", [0, -1])
def test_no_empty_memory(size: int) -> None:
    with pytest.raises(UsageError):
        allocate(size)


def test_a_key_is_locked_and_undumped() -> None:
    with SecretBytes(32) as secret:
        assert {"lo", "dd"} <= mapping_flags(secret.view)
        assert bytes(secret.view) == bytes(32)


def test_random_keys_differ() -> None:
    keys = {bytes(SecretBytes.random(32).view) for _ in range(50)}
    assert len(keys) == 50
    assert bytes(32) not in keys


def test_a_key_ends_with_its_block_in_every_view_of_it() -> None:
    with SecretBytes.copy_of(b"k" * 32) as secret:
        seen = secret.view[:]
        assert bytes(seen) == b"k" * 32
    assert bytes(seen) == bytes(32)


def test_a_key_ends_with_its_block_when_that_fails() -> None:
    secret = SecretBytes.copy_of(b"k" * 32)
    seen = secret.view
    with pytest.raises(ZeroDivisionError), secret:
        _ = 1 // 0
    assert bytes(seen) == bytes(32)


def test_a_released_key_is_not_used_as_zeros() -> None:
    secret = SecretBytes(32)
    secret.release()
    secret.release()
    with pytest.raises(UsageError, match="given back"):
        _ = secret.view


def test_a_key_that_cannot_be_locked_is_not_opened() -> None:
    """The limit, as a process without privileges meets it: in a child, for root is above it."""
    output = subprocess.run([sys.executable, "-c", _NO_LOCKING], check=True, capture_output=True, text=True).stdout
    assert output == "ulimit -l\n"


def test_a_key_does_not_show() -> None:
    assert "kkkk" not in repr(SecretBytes.copy_of(b"k" * 32))


def test_what_a_library_took_is_protected_like_our_own() -> None:
    """Whole pages are left out of core dumps; what it says is locked is what the kernel locked."""
    view = memoryview(bytearray(1 << 20))
    locked = protect(view)
    middle = view[1 << 19 :]
    assert "dd" in mapping_flags(middle)
    assert (locked == len(view)) == ("lo" in mapping_flags(middle))
    unprotect(view)
    assert "lo" not in mapping_flags(middle)


def test_what_is_available_is_less_than_what_there_is() -> None:
    assert 0 < available_bytes() < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
