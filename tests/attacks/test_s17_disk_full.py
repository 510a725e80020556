"""S17: the disk is full, a file hits its size limit, or reading gives an input/output error.

Expected: a typed HostError that names the reason, the old state intact, no complete slice; with room again, the work
resumes.

Defence: host/files.py:translate_errors; removed, a bare OSError ends the worker instead of failing one slice.
Defence: host/files.py:replace_file; removed, the old slice is already overwritten when the disk turns out to be full.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mohawk.errors import HostError
from mohawk.host.files import read_file
from mohawk.host.slice_store import SliceState, SliceStore
from tests.support.disks import files_limited_to, run_on_a_small_disk
from tests.support.slices import make_context, make_plaintext, names, open_from_file, seal_to_file

_ON_A_SMALL_DISK = """
import sys
from pathlib import Path
from mohawk.errors import HostError
from mohawk.host.slice_file import seal_slice
from mohawk.host.slice_store import SliceStore
from tests.support.disks import files_limited_to, run_on_a_small_disk
from tests.support.slices import DATA_KEY, make_context, make_plaintext, names, seal_to_file

disk, elsewhere = Path(sys.argv[1]), Path(sys.argv[2])
filler = disk / "filler"

def fill():
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass

part = seal_to_file(elsewhere / "sealed", make_context(), make_plaintext())
sealed = (elsewhere / "sealed").read_bytes()
store = SliceStore(disk / "store", 1 << 30)
store.reserve(part)
offset = store.append(part.digest, 0, sealed[:50_000])
fill()
try:
    store.append(part.digest, offset, sealed[offset:])
except HostError as error:
    print(error)
filler.unlink()
offset = store.reserve(part)
print(offset >= 50_000)
store.append(part.digest, offset, sealed[offset:])
store.finish(part.digest)
print(store.path(part).read_bytes() == sealed)

def filling_source():
    yield make_plaintext()[:100_000]
    fill()
    yield make_plaintext()[100_000:]

(disk / "slice").write_bytes(b"old")
try:
    seal_slice(disk / "slice", make_context(), DATA_KEY, filling_source(), lambda done: None)
except HostError as error:
    print(error)
filler.unlink()
print((disk / "slice").read_bytes(), names(disk))
"""


def test_a_write_that_fails_while_sealing(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"old")
    with pytest.raises(HostError, match="too large"), files_limited_to(100_000):
        seal_to_file(tmp_path / "s", make_context(), make_plaintext())
    assert (tmp_path / "s").read_bytes() == b"old"
    assert names(tmp_path) == ["s"]


def test_a_write_that_fails_while_storing(tmp_path: Path) -> None:
    part = seal_to_file(tmp_path / "sealed", make_context(), make_plaintext())
    sealed = (tmp_path / "sealed").read_bytes()
    store = SliceStore(tmp_path / "store", 1 << 20)
    store.reserve(part)
    with pytest.raises(HostError, match="too large"), files_limited_to(100_000):
        store.append(part.digest, 0, sealed)
    assert [entry.state for entry in store.list()] == [SliceState.PARTIAL]
    offset = store.reserve(part)
    store.append(part.digest, offset, sealed[offset:])
    store.finish(part.digest)
    assert open_from_file(store.path(part), part) == make_plaintext()
    store.close()


def test_a_version_that_cannot_be_written(tmp_path: Path) -> None:
    store = SliceStore(tmp_path, 0)
    store.remember_version("tiny", 1)
    with pytest.raises(HostError), files_limited_to(10):
        store.remember_version("tiny", 2)
    assert store.seen_versions() == {"tiny": 1}
    store.close()


def test_an_input_output_error_while_reading() -> None:
    """Reading another process's memory at an unmapped address is a regular file that answers EIO."""
    with pytest.raises(HostError, match="Input/output error"):
        read_file(Path("/proc/self/mem"), 100)


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    assert run_on_a_small_disk(_ON_A_SMALL_DISK, tmp_path / "disk", str(tmp_path)) == [
        "storing a slice failed: No space left on device",
        "True",
        "True",
        "writing a file failed: No space left on device",
        "b'old' ['slice', 'store']",
    ]
