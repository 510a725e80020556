"""Frames arrive whole, in order, and within limits that are checked before allocation."""

from __future__ import annotations

import tracemalloc

import pytest

from mohawk.channel.frames import (
    CONTROL_LIMITS,
    PREFIX,
    SCRATCH_BYTES,
    SLICE_LIMITS,
    Frame,
    FrameKind,
    FrameLimits,
    FrameReader,
    Limit,
    encode_head,
    step_limits,
)
from mohawk.errors import FrameError, MessageError, UsageError

STEPS = step_limits(1 << 20)


def admit(header: bytes, body_length: int) -> bytes:
    return header


def feed(reader: FrameReader[bytes], data: bytes, step: int = 1 << 30) -> list[Frame[bytes]]:
    frames: list[Frame[bytes]] = []
    position = 0
    while position < len(data):
        target = reader.target()
        count = min(len(target), step, len(data) - position)
        target[:count] = data[position : position + count]
        position += count
        frames += reader.advance(count)
    return frames


def frame(kind: FrameKind, header: bytes, body: bytes = b"") -> bytes:
    return encode_head(kind, header, len(body)) + body


@pytest.mark.parametrize("step", [1, 3, 12, 4096, 1 << 20])
def test_frames_do_not_depend_on_how_bytes_arrive(step: int) -> None:
    sent = [
        (FrameKind.STEP, b"h", b""),
        (FrameKind.STEP, b"head", b"b" * 8192),
        (FrameKind.CONTROL, b"c" * 300, b""),
        (
            FrameKind.STEP,
            b"x" * (SCRATCH_BYTES + 5 if step > 1 else 50),
            b"y" * (SCRATCH_BYTES * 2 if step > 1 else 99),
        ),
        (FrameKind.STEP, b"z" * (SCRATCH_BYTES if step > 1 else 50), b""),
        (FrameKind.CONTROL, b"end", b""),
    ]
    reader = FrameReader(STEPS, admit)
    frames = feed(reader, b"".join(frame(*one) for one in sent), step)
    assert [(one.kind, one.message, bytes(one.body)) for one in frames] == sent
    reader.finish()


def test_a_large_body_is_received_in_place() -> None:
    reader = FrameReader(STEPS, admit)
    body = bytes(range(256)) * 4096
    data = frame(FrameKind.STEP, b"h", body)
    assert feed(reader, data[:100]) == []
    assert len(reader.target()) == len(data) - 100
    (got,) = feed(reader, data[100:])
    assert got.body == body


@pytest.mark.parametrize(
    "prefix",
    [
        PREFIX.pack(2, 1, 0, 1, 0),
        PREFIX.pack(1, 1, 1, 1, 0),
        PREFIX.pack(1, 0, 0, 1, 0),
        PREFIX.pack(1, 4, 0, 1, 0),
        PREFIX.pack(1, 255, 0, 1, 0),
        b"GET / HTTP/1",
    ],
)
def test_a_foreign_prefix_is_refused(prefix: bytes) -> None:
    with pytest.raises(FrameError):
        feed(FrameReader(STEPS, admit), prefix)


def test_a_kind_that_the_connection_does_not_carry_is_refused() -> None:
    for limits, kind in (
        (CONTROL_LIMITS, FrameKind.STEP),
        (CONTROL_LIMITS, FrameKind.CHUNK),
        (SLICE_LIMITS, FrameKind.STEP),
    ):
        with pytest.raises(FrameError):
            feed(FrameReader(limits, admit), frame(kind, b"h"))


def test_the_header_is_admitted_before_the_body_is_allocated() -> None:
    def refuse(header: bytes, body_length: int) -> bytes:
        raise MessageError("no")

    reader = FrameReader(step_limits(64 << 20), refuse)
    tracemalloc.start()
    try:
        with pytest.raises(MessageError):
            feed(reader, encode_head(FrameKind.STEP, b"header", 64 << 20))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_after_an_error_nothing_more_is_read() -> None:
    reader = FrameReader(CONTROL_LIMITS, admit)
    with pytest.raises(FrameError):
        feed(reader, b"x" * 12)
    with pytest.raises(FrameError):
        reader.advance(0)


def test_limits_hold_for_the_sender_too() -> None:
    SLICE_LIMITS.check(FrameKind.CHUNK, 10, 1 << 20)
    for kind, header, body in (
        (FrameKind.CHUNK, 10, (1 << 20) + 1),
        (FrameKind.CHUNK, 5000, 10),
        (FrameKind.CONTROL, 10, 1),
        (FrameKind.CONTROL, 0, 0),
        (FrameKind.STEP, 10, 10),
    ):
        with pytest.raises(UsageError):
            SLICE_LIMITS.check(kind, header, body)


def test_no_connection_may_exceed_the_parsers_own_maximum() -> None:
    with pytest.raises(UsageError):
        step_limits((64 << 20) + 1)
    with pytest.raises(UsageError):
        FrameLimits({FrameKind.CHUNK: Limit(header=100, body=(50 << 20) + 1)})
    with pytest.raises(UsageError):
        FrameLimits({FrameKind.CONTROL: Limit(header=100, body=1)})
