"""Length-prefixed frames: header and body with limits checked before allocation (docs/spec/frames.md).

Rules, and the attack each stops:
- Lengths are compared with the connection's limits before one byte is allocated for them (R07).
- A kind that this connection does not carry is refused by its prefix.
- The header is decoded, and the body's length compared with what the message implies, before the body is allocated: an
  attacker cannot choose how much we hold, nor splice another step's tensor under a header (R05).
- A stream that ends inside a frame is an error, never a short frame (R06).

    0      1      2             4                    8                    12
    +------+------+-------------+--------------------+--------------------+----------------+--------------+
    | ver  | kind | zero        | header length      | body length        | header         | body         |
    +------+------+-------------+--------------------+--------------------+----------------+--------------+
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Generic, NamedTuple, TypeVar

from mohawk.errors import FrameError, RemoteError, UsageError

VERSION = 1
PREFIX = struct.Struct("!BBHII")
SCRATCH_BYTES = 1 << 16
"""Bytes that a reader takes at once; a frame that fits needs one read."""
PARSER_MAXIMUM = {1: 0, 2: 50 << 20, 3: 64 << 20}
"""Most body bytes of each kind, whatever a connection allows."""
HEADER_MAXIMUM = {1: 64 << 10, 2: 4 << 10, 3: 256 << 10}

Message = TypeVar("Message")


class FrameKind(IntEnum):
    """What a frame carries; decides its limits."""

    CONTROL = 1
    CHUNK = 2
    STEP = 3


_KINDS = {kind.value: kind for kind in FrameKind}
"""Cheaper than calling the enumeration."""


class Limit(NamedTuple):
    """Most bytes of header and body of one kind of frame."""

    header: int
    body: int


class Frame(NamedTuple, Generic[Message]):
    """A message that its admission accepted, and exactly the body it implies."""

    kind: FrameKind
    message: Message
    body: bytearray


@dataclass(frozen=True, slots=True)
class FrameLimits:
    """What one connection carries; an absent kind is refused. Raises UsageError beyond the parser's own maximum."""

    kinds: Mapping[FrameKind, Limit]

    def __post_init__(self) -> None:
        for kind, limit in self.kinds.items():
            if not (0 < limit.header <= HEADER_MAXIMUM[kind] and 0 <= limit.body <= PARSER_MAXIMUM[kind]):
                raise UsageError("frame limits beyond what the parser holds")

    def check(self, kind: FrameKind, header: int, body: int) -> None:
        """A frame of these lengths may be sent. Raises UsageError: our own mistake, found before the peer finds it."""
        limit = self.kinds.get(kind)
        if limit is None or not 0 < header <= limit.header or body > limit.body:
            raise UsageError("a frame beyond this connection's limits")


_CONTROL = Limit(header=64 << 10, body=0)
CONTROL_LIMITS = FrameLimits(MappingProxyType({FrameKind.CONTROL: _CONTROL}))
SLICE_LIMITS = FrameLimits(
    MappingProxyType({FrameKind.CONTROL: _CONTROL, FrameKind.CHUNK: Limit(header=4 << 10, body=1 << 20)})
)


def step_limits(body: int) -> FrameLimits:
    """For connections that carry steps of at most `body` tensor bytes. Raises UsageError beyond 64 MiB."""
    return FrameLimits(
        MappingProxyType({FrameKind.CONTROL: _CONTROL, FrameKind.STEP: Limit(header=256 << 10, body=body)})
    )


def encode_head(kind: FrameKind, header: bytes, body_length: int) -> bytes:
    """Prefix and header of a frame; the body follows it."""
    return PREFIX.pack(VERSION, kind, 0, len(header), body_length) + header


class FrameReader(Generic[Message]):
    """Bytes to frames, without a socket: fill `target()`, then `advance(count)`.

    `admit(header, body_length)` decodes a header and raises a RemoteError unless exactly that body belongs to
    it; it is called before the body is allocated. One frame's header and body plus 64 KiB are all that a reader ever
    holds. After an error every call raises it again.
    """

    __slots__ = ("_failed", "_filled", "_head", "_held", "_large", "_message", "_scratch", "admit", "limits")

    def __init__(self, limits: FrameLimits, admit: Callable[[bytes, int], Message]) -> None:
        self.limits = limits
        self.admit = admit
        self._scratch = memoryview(bytearray(SCRATCH_BYTES))
        self._held = 0
        """Bytes at the start of scratch that belong to no frame yet."""
        self._large: bytearray | None = None
        """A header or body that did not arrive whole: filled in place, without a detour through scratch."""
        self._filled = 0
        self._head: tuple[FrameKind, int, int] = (FrameKind.CONTROL, 0, 0)
        self._message: Message | None = None
        self._failed: RemoteError | None = None

    def target(self) -> memoryview:
        """Where the next bytes go; never empty."""
        if self._large is not None:
            return memoryview(self._large)[self._filled :]
        return self._scratch[self._held :] if self._held else self._scratch

    def advance(self, count: int) -> list[Frame[Message]]:
        """`count` bytes were put into `target()`: the frames that are whole now. Raises FrameError, or what `admit`
        raises.
        """
        if self._failed is not None:
            raise self._failed
        try:
            if self._large is not None:
                return self._advance_large(count)
            return self._advance_scratch(self._held + count)
        except RemoteError as error:
            self._failed = error
            raise

    def finish(self) -> None:
        """The stream ended here. Raises FrameError when it ended inside a frame (R06)."""
        if self._held or self._large is not None:
            raise FrameError("the stream ended inside a frame")

    def _advance_scratch(self, end: int) -> list[Frame[Message]]:
        frames: list[Frame[Message]] = []
        scratch, start = self._scratch, 0
        while end - start >= PREFIX.size:
            kind, header_length, body_length = self._check_prefix(start)
            body = start + PREFIX.size + header_length
            if body > end:
                if PREFIX.size + header_length > SCRATCH_BYTES:
                    self._head = (kind, header_length, body_length)
                    start = self._begin_large(header_length, start + PREFIX.size, end)
                break
            header = bytes(scratch[start + PREFIX.size : body])
            message = self.admit(header, body_length)
            if end - body < body_length:
                self._head, self._message = (kind, 0, body_length), message
                start = self._begin_large(body_length, body, end)
                break
            start = body + body_length
            frames.append(Frame(kind, message, bytearray(scratch[body:start])))
        self._held = end - start
        if self._held and start:
            scratch[: self._held] = bytes(scratch[start:end])
        return frames

    def _check_prefix(self, start: int) -> tuple[FrameKind, int, int]:
        """(kind, header length, body length), all within this connection's limits. Raises FrameError."""
        version, kind, zero, header_length, body_length = PREFIX.unpack_from(self._scratch, start)
        if version != VERSION or zero:
            raise FrameError("not a frame of this version", hint="both nodes must run the same major version")
        limit = self.limits.kinds.get(kind)
        if limit is None:
            raise FrameError("a kind of frame that this connection does not carry")
        if not 0 < header_length <= limit.header or body_length > limit.body:
            raise FrameError("a frame beyond this connection's limits")
        return _KINDS[kind], header_length, body_length

    def _begin_large(self, length: int, start: int, end: int) -> int:
        """The only allocation whose size a peer names; every caller has checked it. Returns `end`: all was taken."""
        self._large = bytearray(length)
        self._filled = end - start
        self._large[: self._filled] = self._scratch[start:end]
        return end

    def _advance_large(self, count: int) -> list[Frame[Message]]:
        assert self._large is not None
        self._filled += count
        if self._filled < len(self._large):
            return []
        whole, self._large, self._held = self._large, None, 0
        kind, header_length, body_length = self._head
        if header_length:
            message = self.admit(bytes(whole), body_length)
            if body_length:
                self._head, self._message = (kind, 0, body_length), message
                self._begin_large(body_length, 0, 0)
                return []
            return [Frame(kind, message, bytearray())]
        message, self._message = self._take_message(), None
        return [Frame(kind, message, whole)]

    def _take_message(self) -> Message:
        assert self._message is not None  # set together with `_large` for a body
        return self._message
