"""Looking for secrets where none may be: in recorded bytes and in files.

Numbers are looked for as numbers: activations computed twice may differ in their last bits, so an exact search could
miss plaintext that is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy

WINDOW_BYTES = 48
"""Long enough that no ciphertext holds it by chance."""
_RUN = 8
"""So many neighbouring numbers must agree."""
_TOLERANCE = 1e-3


def count_bytes(haystack: bytes | bytearray, needles: Iterable[bytes]) -> int:
    """How many of `needles` occur in `haystack`."""
    return sum(needle in haystack for needle in needles)


def count_numbers(haystack: bytes | bytearray, rows: Sequence[Sequence[float]]) -> int:
    """How many of `rows` begin somewhere in `haystack` as little-endian float32, at any alignment, up to rounding."""
    found = 0
    views = [_as_floats(haystack, shift) for shift in range(4)]
    for row in rows:
        wanted = numpy.asarray(row[:_RUN], dtype=numpy.float32)
        found += any(_holds(view, wanted) for view in views)
    return found


def sample_windows(path: Path, count: int) -> list[bytes]:
    """`count` windows spread over a file, none of them all zeros."""
    size = path.stat().st_size
    windows = []
    with path.open("rb") as file:
        for index in range(count):
            file.seek(max(0, (size - WINDOW_BYTES) * (index + 1) // (count + 1)))
            window = file.read(WINDOW_BYTES)
            if any(window):
                windows.append(window)
    return windows


def _as_floats(data: bytes | bytearray, shift: int) -> numpy.ndarray:
    length = (len(data) - shift) // 4 * 4
    return numpy.frombuffer(data, dtype="<f4", count=max(0, length // 4), offset=shift if length > 0 else 0)


def _holds(view: numpy.ndarray, wanted: numpy.ndarray) -> bool:
    if len(view) < len(wanted):
        return False
    with numpy.errstate(invalid="ignore", over="ignore"):
        margin = _TOLERANCE * numpy.maximum(numpy.abs(wanted), 1e-2)
        places = numpy.flatnonzero(numpy.abs(view[: len(view) - len(wanted) + 1] - wanted[0]) <= margin[0])
        return any(bool((numpy.abs(view[p : p + len(wanted)] - wanted) <= margin).all()) for p in places)
