"""S11: a safetensors header that claims 2^63 or 101 MB, is not UTF-8, or is built to explode in memory.

Expected: refused with ArtifactError before anything of that size is allocated; resident memory stays bounded.
Defence: mohawk/artifact/tensor_file.py:header_size (the length's two limits) and
mohawk/artifact/strict_json.py:parse_object (tokens); removed, a 101 MB header is read and parsed, and 16 MiB of `[],`
become 560 MB of Python lists.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mohawk.artifact.tensor_file import HEADER_LIMIT, header_size, parse_header
from mohawk.checkpoint.reader import read_card
from mohawk.errors import ArtifactError
from tests.support.folders import safetensors_bytes, tensors_bytes, write_folder

MEGABYTE = 1 << 20


@pytest.mark.parametrize("length", [1 << 63, (1 << 64) - 1, 101 * MEGABYTE, HEADER_LIMIT + 1])
def test_a_length_beyond_the_limit_is_refused_before_reading(tmp_path: Path, length: int):
    folder = write_folder(tmp_path / "m")
    with (folder / "model.safetensors").open("wb") as file:
        file.write(length.to_bytes(8, "little"))
        file.truncate(200 * MEGABYTE)  # sparse: the file is long enough, so only the limit can refuse

    with pytest.raises(ArtifactError, match="claims more"):
        read_card(folder)


@pytest.mark.parametrize("file", [b"", b"\x10", bytes(8), (100).to_bytes(8, "little"), tensors_bytes({"a": [4]})[:30]])
def test_a_file_that_ends_early_is_refused(tmp_path: Path, file: bytes):
    folder = write_folder(tmp_path / "m")
    (folder / "model.safetensors").write_bytes(file)

    with pytest.raises(ArtifactError):
        read_card(folder)


def test_a_header_longer_than_its_file_is_refused_before_reading():
    with pytest.raises(ArtifactError, match="within its header"):
        header_size((100).to_bytes(8, "little"), 107)


IN_METADATA = b'{"__metadata__":{"a":"\xff"},"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'


@pytest.mark.parametrize(
    "header", [IN_METADATA, b'{"\xff\xfe": {}}', b"\xc3(", "{}".encode("utf-16"), b'{"\xed\xa0\x80": {}}']
)
def test_bad_utf8_is_refused(header: bytes):
    file = safetensors_bytes(header, bytes(4))

    with pytest.raises(ArtifactError):
        parse_header(file[: header_size(file[:8], len(file))], len(file))


BOMBS = {
    "lists": "b'{\"a\":[' + b'[],' * (5 << 20) + b'[]]}'",
    "depth": "b'{\"a\":' + b'[' * (8 << 20) + b']' * (7 << 20) + b'}'",
    "numbers": "b'{\"a\":[' + b','.join(b'%d' % (10**6 + n) for n in range(1 << 20)) + b',1' * (3 << 20) + b']}'",
    "objects": "b'{' + b','.join(b'\"%d\":{}' % n for n in range(1 << 20)) + b'}'",
    "objects within the token limit": "b'{' + b','.join(b'\"%030d\":{}' % n for n in range(390_000)) + b'}'",
    "lists within the token limit": "b'{\"a\":[' + b','.join([b'[       \"%021d\"]' % n for n in range(390_000)]) + b']}'",
    "text": "b'{\"' + b'a' * (15 << 20) + b'\":{}}'",
    "wide text": "b'{\"\\xf0\\x9f\\xa6\\x85' + b'a' * (15 << 20) + b'\":{}}'",
}


@pytest.mark.parametrize("name", BOMBS)
def test_memory_stays_within_bounds(name: str):
    """Sixteen megabytes of header may cost a few times their size, never the hundreds of megabytes that they could
    mean.
    """
    script = f"""
from pathlib import Path
from mohawk.artifact.tensor_file import parse_header
from mohawk.errors import ArtifactError
body = {BOMBS[name]}
assert 8 << 20 < len(body) <= 16 << 20, len(body)
head = len(body).to_bytes(8, "little") + body
def kilobytes(field):
    return int(Path("/proc/self/status").read_text().split(field + ":")[1].split()[0])
Path("/proc/self/clear_refs").write_text("5")  # forget the peak of building the bomb
before = kilobytes("VmRSS")
try:
    parse_header(head, len(head))
    raise SystemExit("accepted")
except ArtifactError:
    pass
print(kilobytes("VmHWM") - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 192 * 1024
