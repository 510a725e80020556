"""Claims: sealing runs at 0.5x or more of one core's ChaCha20-Poly1305, opening at 0.8x or more of ChaCha20-Poly1305
plus SHA-256 over the same bytes on one core, both with less than 64 MB beyond the weights.

    python bench/bench_sealing.py [--megabytes 1024] [--rounds 7] [--folder DIR]

All candidates run interleaved in one process; figures are medians, and only their ratios mean anything on a busy
machine. Sealing ends with an fsync, so a disk slower than the cipher sets its pace: the disk's own write and fsync of
the same bytes runs beside it as the second limit, and the folder may lie in memory (/dev/shm) to take the disk out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mohawk.artifact.sealed_slice import SealedSlice, SealingContext
from mohawk.crypto.primitives import AeadKey
from mohawk.crypto.stream import CHUNK_SIZE, SEALED_CHUNK_SIZE
from mohawk.host.memory import allocate, resident_bytes
from mohawk.host.slice_file import open_slice, seal_slice
from mohawk.nouns.model import DataType, LayerRange

RESULT = Path(__file__).parent / "results" / "sealing.json"
KEY = bytes(range(32))
BLOCK = 1 << 20


def context(size: int) -> SealingContext:
    return SealingContext("bench", "00" * 32, 1, LayerRange(0, 7), DataType.BFLOAT16, size, "00" * 16)


def blocks(plaintext: memoryview):
    """As the slicer delivers them: buffers of 1 MiB."""
    return (plaintext[begin : begin + BLOCK] for begin in range(0, len(plaintext), BLOCK))


def cipher_seal(plaintext: memoryview, sealed: memoryview) -> None:
    aead = AeadKey(KEY)
    for index in range(len(plaintext) // CHUNK_SIZE):
        out = sealed[index * SEALED_CHUNK_SIZE : (index + 1) * SEALED_CHUNK_SIZE]
        aead.seal_into(index.to_bytes(12, "big"), plaintext[index * CHUNK_SIZE : (index + 1) * CHUNK_SIZE], b"", out)


def cipher_open_and_hash(sealed: memoryview, plaintext: memoryview) -> None:
    aead, digest = AeadKey(KEY), hashlib.sha256()
    for index in range(len(plaintext) // CHUNK_SIZE):
        chunk = sealed[index * SEALED_CHUNK_SIZE : (index + 1) * SEALED_CHUNK_SIZE]
        aead.open_into(index.to_bytes(12, "big"), chunk, b"", plaintext[index * CHUNK_SIZE : (index + 1) * CHUNK_SIZE])
        digest.update(chunk)


def write_and_sync(path: Path, data: memoryview) -> None:
    with path.open("wb", buffering=0) as file:
        for begin in range(0, len(data), 2 * BLOCK):
            file.write(data[begin : begin + 2 * BLOCK])
        os.fsync(file.fileno())


def clock(work) -> tuple[float, float]:
    """Seconds that passed, and seconds of processor time in all threads: the second hardly depends on a busy
    machine.
    """
    begin, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begin, time.process_time() - used


def measure(size: int, rounds: int, folder: Path) -> dict[str, list[tuple[float, float]]]:
    """`clock` of each candidate, one entry a round."""
    plaintext, opened = allocate(size).view, allocate(size).view
    sealed = memoryview(bytearray(size // CHUNK_SIZE * SEALED_CHUNK_SIZE))
    for begin in range(0, size, BLOCK):
        plaintext[begin : begin + BLOCK] = os.urandom(BLOCK)
    path, scratch = folder / "slice_0_7.sealed", folder / "scratch"
    result: list[SealedSlice] = []
    seconds: dict[str, list[tuple[float, float]]] = {}
    candidates = {
        "cipher_seal": lambda: cipher_seal(plaintext, sealed),
        "seal_slice": lambda: result.append(seal_slice(path, context(size), KEY, blocks(plaintext), lambda done: None)),
        "write_and_sync": lambda: write_and_sync(scratch, sealed),
        "cipher_open_and_hash": lambda: cipher_open_and_hash(sealed, opened),
        "open_slice": lambda: open_slice(path, result[-1], KEY, opened),
    }
    for _ in range(rounds):
        for name, work in candidates.items():
            for leftover in (scratch, *([path] if name == "seal_slice" else [])):
                leftover.unlink(missing_ok=True)
            seconds.setdefault(name, []).append(clock(work))
        assert opened == plaintext
    return seconds


def peak_beyond(size: int, folder: Path, doing: str) -> int:
    """In a fresh process: peak resident bytes while sealing or opening, less what was resident before and, opening,
    the weights.
    """
    path = folder / "memory.sealed"
    if doing == "seal":
        block = memoryview(os.urandom(BLOCK))
        before = resident_bytes()
        part = seal_slice(path, context(size), KEY, (block for _ in range(size // BLOCK)), lambda done: None)
        (folder / "digest").write_text(part.digest)
        return peak_resident() - before
    part = SealedSlice(context(size), (folder / "digest").read_text())
    before = resident_bytes()
    open_slice(path, part, KEY, allocate(size).view)
    return peak_resident() - before - size


def peak_resident() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def describe_machine() -> dict[str, object]:
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": model.partition(":")[2].strip() or platform.machine(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--megabytes", type=int, default=1024)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--folder", type=Path, help="where the sealed slice goes; a temporary folder if not given")
    options.add_argument("--peak", choices=("seal", "open"), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    size = chosen.megabytes << 20
    if chosen.peak:
        print(peak_beyond(size, chosen.folder, chosen.peak))
        return
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        report = run(size, chosen.rounds, Path(folder))
    key = "memory" if str(chosen.folder or "").startswith("/dev/shm") else "disk"
    known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    RESULT.write_text(json.dumps({**known, key: report}, indent=2) + "\n")
    print(json.dumps(report, indent=2))


def run(size: int, rounds: int, folder: Path) -> dict[str, object]:
    machine, peaks = describe_machine(), {}
    for doing in ("seal", "open"):
        command = [sys.executable, __file__, "--megabytes", str(size >> 20), "--folder", str(folder), "--peak", doing]
        peaks[doing] = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    (folder / "memory.sealed").unlink()
    seconds = measure(size, rounds, folder)
    median = {name: statistics.median(passed for passed, _ in values) for name, values in seconds.items()}
    used = {name: statistics.median(used for _, used in values) for name, values in seconds.items()}
    return {
        "machine": machine | {"load_average_after": os.getloadavg()[0]},
        "bytes": size,
        "rounds": rounds,
        "gigabytes_per_second": {name: round(size / value / 1e9, 3) for name, value in median.items()},
        "processor_seconds_per_gigabyte": {name: round(value / size * 1e9, 3) for name, value in used.items()},
        "seal_against_cipher": round(median["cipher_seal"] / median["seal_slice"], 2),
        "seal_against_disk": round(median["write_and_sync"] / median["seal_slice"], 2),
        "open_against_cipher_and_hash": round(median["cipher_open_and_hash"] / median["open_slice"], 2),
        "seal_megabytes_beyond": round(peaks["seal"] / 1e6, 1),
        "open_megabytes_beyond": round(peaks["open"] / 1e6, 1),
    }


if __name__ == "__main__":
    main()
