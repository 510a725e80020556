"""Reading binary structures that others made: every length is checked before it is used, and one error ends it.

The fuzz sentence of this room: whatever bytes arrive, a structure is read or the given error is raised; never another,
and never more memory than the bytes take.
"""

from __future__ import annotations

from typing import Literal

from mohawk.errors import MohawkError


class Reader:
    """`error` is raised when the bytes end too early, or too late. TPMs write big-endian, event logs little-endian."""

    __slots__ = ("_at", "_data", "_order", "error")

    def __init__(self, data: bytes, error: MohawkError, order: Literal["big", "little"] = "big") -> None:
        self._data = data
        self._at = 0
        self._order = order
        self.error = error

    def take(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        end = self._at + size
        if end > len(self._data):
            raise self.error
        taken, self._at = self._data[self._at : end], end
        return taken

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int.from_bytes(self.take(2), self._order)

    def u32(self) -> int:
        return int.from_bytes(self.take(4), self._order)

    def u64(self) -> int:
        return int.from_bytes(self.take(8), self._order)

    def sized(self, most: int = 0xFFFF) -> bytes:
        """A TPM2B: u16 size, then at most `most` bytes."""
        size = self.u16()
        if size > most:
            raise self.error
        return self.take(size)

    def count(self, most: int) -> int:
        """A u32 that says how many elements follow."""
        number = self.u32()
        if number > most:
            raise self.error
        return number

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)

    @property
    def is_at_end(self) -> bool:
        return self._at == len(self._data)

    def end(self) -> None:
        """Raise unless everything was read: bytes behind a structure are somebody's hiding place."""
        if not self.is_at_end:
            raise self.error
