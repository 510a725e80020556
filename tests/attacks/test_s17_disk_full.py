"""S17: the disk is full, a file hits its size limit, or reading gives an input/output error.

Expected: a typed HostError that names the reason, the old state intact, no complete slice; with room again, the work
resumes.

Defence: host/files.py:translate_errors; removed, a bare OSError ends the worker instead of failing one slice.
Defence: host/files.py:replace_file; removed, the old slice is already overwritten when the disk turns out to be full.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mohawk.errors import HostError
from mohawk.host.files import read_file
from mohawk.host.slice_store import SliceState, SliceStore
from tests.support.slices import make_context, make_plaintext, names, open_from_file, seal_to_file

if TYPE_CHECKING:
    from collections.abc import Iterator

_ON_A_SMALL_DISK = """
import sys
from pathlib import Path
from mohawk.errors import HostError
from mohawk.host.slice_file import seal_slice
from mohawk.host.slice_store import SliceStore
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


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """The kernel refuses to write beyond `size` bytes of any file (EFBIG): a failing write without a failing disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


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
    disk = tmp_path / "disk"
    disk.mkdir()
    if shutil.which("unshare") is None:
        pytest.skip("needs `unshare` (util-linux) to mount a small disk without root")
    mount = f'mount -t tmpfs -o size=1m none "{disk}" && exec "$0" "$@"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount]
    if subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this kernel lets no unprivileged user mount a small disk")
    arguments = [sys.executable, "-c", _ON_A_SMALL_DISK, str(disk), str(tmp_path)]
    done = subprocess.run([*command, *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "storing a slice failed: No space left on device",
        "True",
        "True",
        "writing a file failed: No space left on device",
        "b'old' ['slice', 'store']",
    ]
