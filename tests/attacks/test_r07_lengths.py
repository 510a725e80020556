"""R07: a frame announces 0, 2^32-1 or more bytes than its connection carries.

Expected: rejected before allocation.
Defence: channel/frames.py:FrameReader._check_prefix and contract/admission.py:admit_from_dialler (empty chunk);
removed, 4 GiB are allocated on the word of 12 bytes.
"""

from __future__ import annotations

import tracemalloc

import pytest

from mohawk.channel.frames import PREFIX, SLICE_LIMITS, FrameKind, FrameReader
from mohawk.contract.admission import admit_from_dialler
from mohawk.contract.codec import encode
from mohawk.contract.messages import Purpose, SliceChunk
from mohawk.errors import FrameError, RemoteError

HEADER = encode(SliceChunk("0" * 64, 0))
TOP = 2**32 - 1


@pytest.mark.parametrize(
    ("kind", "header", "body"),
    [
        (FrameKind.CHUNK, len(HEADER), 0),
        (FrameKind.CHUNK, len(HEADER), (1 << 20) + 1),
        (FrameKind.CHUNK, len(HEADER), TOP),
        (FrameKind.CHUNK, 0, 100),
        (FrameKind.CHUNK, TOP, 100),
        (FrameKind.CHUNK, (4 << 10) + 1, 100),
        (FrameKind.CHUNK, TOP, TOP),
        (FrameKind.CONTROL, 0, 0),
        (FrameKind.CONTROL, (64 << 10) + 1, 0),
        (FrameKind.CONTROL, TOP, 0),
        (FrameKind.CONTROL, 10, 1),
        (FrameKind.STEP, 10, 10),
    ],
)
def test_an_impossible_length_is_refused_before_allocation(kind: FrameKind, header: int, body: int) -> None:
    reader = FrameReader(SLICE_LIMITS, lambda header, length: admit_from_dialler(Purpose.SLICE, header, length))
    data = PREFIX.pack(1, kind, 0, header, body) + HEADER
    tracemalloc.start()
    try:
        reader.target()[: len(data)] = data
        with pytest.raises(RemoteError) as caught:
            reader.advance(len(data))
        assert tracemalloc.get_traced_memory()[1] < 1 << 16
    finally:
        tracemalloc.stop()
    if (kind, body) != (FrameKind.CHUNK, 0):
        assert isinstance(caught.value, FrameError)
