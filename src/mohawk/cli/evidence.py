"""What an attacker with the wire and the disks of the workers would find: searched for, not asserted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mohawk.cli.search import count_bytes, count_numbers, sample_windows

_LIBRARY = re.compile(r"\.so(\.|$)|^python|^ld-|^locale|gconv")
_WINDOWS = 64
_LARGEST_FILE = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One search: where, what for, over how many bytes, and how often it was found. More than 0 is a leak."""

    place: str
    wanted: str
    searched_bytes: int
    found: int


@dataclass(frozen=True, slots=True)
class Secrets:
    """What must not be found. `rows`: activations at the cuts, as numbers; `texts`: prompts and answers."""

    weights: Sequence[bytes]
    keys: Sequence[bytes]
    texts: Sequence[bytes]
    rows: Sequence[Sequence[float]]


def sample_weights(source: Path) -> list[bytes]:
    """Windows of the plaintext weights of a model folder."""
    return [window for path in sorted(source.glob("*.safetensors")) for window in sample_windows(path, _WINDOWS)]


def search_wire(streams: Iterable[bytes | bytearray], secrets: Secrets) -> list[Finding]:
    """Everything that passed between the nodes."""
    recorded = b"\0".join(bytes(stream) for stream in streams)
    size = len(recorded)
    return [
        Finding("wire", "weights", size, count_bytes(recorded, secrets.weights)),
        Finding("wire", "activations", size, count_numbers(recorded, secrets.rows)),
        Finding("wire", "prompts and answers", size, count_bytes(recorded, secrets.texts)),
        Finding("wire", "keys", size, count_bytes(recorded, secrets.keys)),
    ]


def search_files(place: str, paths: Iterable[Path], secrets: Secrets) -> Finding:
    """Weights, keys and texts in files, each read whole."""
    size = found = 0
    for path in paths:
        data = _read(path)
        size += len(data)
        found += count_bytes(data, [*secrets.weights, *secrets.keys, *secrets.texts])
    return Finding(place, "weights, keys, prompts", size, found)


def files_below(folder: Path) -> list[Path]:
    """Every regular file below a folder: state, cache and temporary files of a worker."""
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


def open_files(process: int) -> list[Path] | None:
    """Regular files that a process has open or mapped, libraries aside; None where the kernel does not tell, because
    the process is not dumpable.
    """
    try:
        paths = {link.readlink() for link in Path(f"/proc/{process}/fd").iterdir()}
        maps = Path(f"/proc/{process}/maps").read_text("utf-8", "replace")
    except OSError:
        return None
    paths |= {Path(line.split(maxsplit=5)[-1]) for line in maps.splitlines() if "/" in line}
    return sorted(path for path in paths if path.is_file() and not _LIBRARY.search(path.name))


def search_plaintext(source: Path) -> Finding:
    """The control: the same search over the model folder itself must find the weights."""
    weights = sample_weights(source)
    return search_files(str(source), sorted(source.glob("*.safetensors")), Secrets(weights, (), (), ()))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.stat().st_size <= _LARGEST_FILE else b""
    except OSError:
        return b""
