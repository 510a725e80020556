"""Which kernels multiply: the choice that decides how fast one sequence decodes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def choose_kernels(rows: int, dtype: torch.dtype) -> Iterator[None]:
    """One row in bfloat16: torch's own matrix-vector kernel instead of oneDNN, which reads weights at less than half
    the speed (14-15 against 36 GB/s). More rows: oneDNN, because there the native kernel is ten times slower.

    The switch is process-wide, so a process may have one computing thread only.
    """
    if rows != 1 or dtype != torch.bfloat16:
        yield
        return
    before = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = before
