"""Protects sealing and opening: any source cut, constant memory, exact sizes, plaintext only after everything was
verified.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mohawk.artifact.sealed_slice import parse_header
from mohawk.crypto.stream import CHUNK_SIZE
from mohawk.errors import HostError, UsageError
from mohawk.host.slice_file import open_slice, seal_slice
from tests.support.slices import DATA_KEY, SIZE, make_context, make_plaintext, names, open_from_file, seal_to_file

if TYPE_CHECKING:
    from pathlib import Path

GROUP = 32 * CHUNK_SIZE
SIZES = [1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, GROUP, GROUP + 1, 7 * GROUP + 12345]

_PEAK = """
import sys
from pathlib import Path
from mohawk.host.memory import allocate, resident_bytes
from mohawk.host.slice_file import open_slice, seal_slice
from tests.support.slices import DATA_KEY, make_context
SIZE = 192 << 20
block = bytes(1 << 20)
peaks = []
def peak():
    return int(next(l for l in Path('/proc/self/status').read_text().splitlines() if
    l.startswith('VmHWM')).split()[1]) * 1024
before = resident_bytes()
part = seal_slice(Path(sys.argv[1]), make_context(size=SIZE), DATA_KEY, (block for _ in range(192)), lambda done: None)
sealing = peak() - before
open_slice(Path(sys.argv[1]), part, DATA_KEY, allocate(SIZE).view)
print(sealing, peak() - before - SIZE)
"""


@pytest.mark.parametrize("size", SIZES)
def test_round_trip(tmp_path: Path, size: int) -> None:
    plaintext = make_plaintext(size)
    part = seal_to_file(tmp_path / "s", make_context(size=size), plaintext)
    sealed = (tmp_path / "s").read_bytes()
    assert len(sealed) == part.sealed_bytes
    assert hashlib.sha256(sealed).hexdigest() == part.digest
    assert parse_header(sealed).context == part.context
    assert open_from_file(tmp_path / "s", part) == plaintext
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["s"]


@pytest.mark.parametrize("cut", [1000, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 1 << 20])
def test_the_sources_cut_does_not_matter(tmp_path: Path, cut: int) -> None:
    plaintext = make_plaintext()
    source = (plaintext[begin : begin + cut] for begin in range(0, SIZE, cut))
    part = seal_slice(tmp_path / "s", make_context(), DATA_KEY, source, lambda done: None)
    assert open_from_file(tmp_path / "s", part) == plaintext


def test_a_source_may_reuse_its_buffer(tmp_path: Path) -> None:
    """As the slicer does: constant memory means that each buffer is overwritten by the next."""
    plaintext, buffer = make_plaintext(), bytearray(5000)

    def source() -> object:
        for begin in range(0, SIZE, 5000):
            part = plaintext[begin : begin + 5000]
            buffer[: len(part)] = part
            yield memoryview(buffer)[: len(part)]
            buffer[:] = bytes(5000)

    part = seal_slice(tmp_path / "s", make_context(), DATA_KEY, source(), lambda done: None)  # type: ignore[arg-type]
    assert open_from_file(tmp_path / "s", part) == plaintext


@pytest.mark.parametrize("size", [0, 1, CHUNK_SIZE, SIZE - 1, SIZE + 1, SIZE + CHUNK_SIZE])
def test_a_source_of_another_length_changes_nothing(tmp_path: Path, size: int) -> None:
    (tmp_path / "s").write_bytes(b"old")
    with pytest.raises(UsageError):
        seal_to_file(tmp_path / "s", make_context(), make_plaintext(size))
    assert (tmp_path / "s").read_bytes() == b"old"
    assert names(tmp_path) == ["s"]


def test_progress_grows_to_the_end(tmp_path: Path) -> None:
    told: list[int] = []
    seal_slice(tmp_path / "s", make_context(size=3 * GROUP + 5), DATA_KEY, [bytes(3 * GROUP + 5)], told.append)
    assert told == [GROUP, 2 * GROUP, 3 * GROUP, 3 * GROUP + 5]


@pytest.mark.parametrize("size", [SIZE - 1, SIZE + 1, 0])
def test_a_buffer_of_another_size(tmp_path: Path, size: int) -> None:
    part = seal_to_file(tmp_path / "s", make_context(), make_plaintext())
    with pytest.raises(UsageError):
        open_slice(tmp_path / "s", part, DATA_KEY, memoryview(bytearray(size)))
    with pytest.raises(UsageError):
        open_slice(tmp_path / "s", part, DATA_KEY, memoryview(bytes(SIZE)))


def test_a_missing_file(tmp_path: Path) -> None:
    part = seal_to_file(tmp_path / "s", make_context(), make_plaintext())
    with pytest.raises(HostError):
        open_from_file(tmp_path / "absent", part)


def test_no_plaintext_touches_the_disk(tmp_path: Path) -> None:
    plaintext = b"a secret weight " * (SIZE // 16) + bytes(SIZE % 16)
    seal_to_file(tmp_path / "s", make_context(), plaintext)
    assert b"secret" not in (tmp_path / "s").read_bytes()


def test_memory_is_constant(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _PEAK, str(tmp_path / "s")]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    sealing, opening = (int(part) for part in output.split())
    assert sealing < 64e6
    assert opening < 64e6
