"""The searches behind `mohawk demo`: they must find what is there, or their "none" says nothing."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from mohawk.cli.search import WINDOW_BYTES, count_bytes, count_numbers, sample_windows

NOISE = random.Random(1)
ROW = [NOISE.gauss(0, 1) for _ in range(64)]


def random_bytes(size: int) -> bytes:
    return random.Random(2).randbytes(size)


@pytest.mark.parametrize("offset", [0, 1, 2, 3, 4097])
def test_activations_with_rounding_noise_at_any_offset(offset: int):
    noisy = [value * (1 + NOISE.uniform(-1, 1) * 1e-4) for value in ROW]
    planted = random_bytes(offset) + struct.pack("<64f", *noisy) + random_bytes(5000)
    assert count_numbers(planted, [ROW]) == 1


def test_each_row_is_counted_for_itself():
    other = [value + 1 for value in ROW]
    planted = random_bytes(999) + struct.pack("<64f", *ROW)
    assert count_numbers(planted, [ROW, other, ROW[8:]]) == 2


@pytest.mark.parametrize("size", [0, 1, 3, 4, 31, 1 << 20])
def test_random_bytes_hold_none(size: int):
    assert count_numbers(random_bytes(size), [ROW]) == 0


def test_infinities_and_no_numbers_are_not_found_everywhere():
    hostile = struct.pack("<4f", float("nan"), float("inf"), float("-inf"), 3e38) * 1000
    assert count_numbers(hostile, [ROW]) == 0


def test_bytes_are_found_wherever_they_lie():
    assert count_bytes(b"x" * 77 + b"needle" + b"y", [b"needle", b"straw"]) == 1
    assert count_bytes(bytearray(b"needle"), [b"needle"]) == 1


def test_windows_are_of_the_file_and_never_blank(tmp_path: Path):
    content = random_bytes(1 << 16) + bytes(1 << 16)
    (tmp_path / "file").write_bytes(content)
    windows = sample_windows(tmp_path / "file", 64)
    assert 20 < len(windows) <= 64
    assert all(len(window) == WINDOW_BYTES and window in content and any(window) for window in windows)
