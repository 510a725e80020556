"""Whatever bytes arrive, frames are parsed or FrameError is raised: never anything else, never more memory than the limit."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mohawk.channel.frames import PREFIX, Frame, FrameKind, FrameReader, encode_head, step_limits
from mohawk.contract.admission import admit_from_dialler
from mohawk.contract.messages import Message, Purpose
from mohawk.errors import RemoteError

LIMITS = step_limits(4096)

KINDS = st.sampled_from([FrameKind.CONTROL, FrameKind.STEP])
FRAMES = st.lists(st.tuples(KINDS, st.binary(min_size=1, max_size=200), st.binary(max_size=4096)), max_size=6)
CUTS = st.lists(st.integers(1, 5000), min_size=1, max_size=20)
PREFIXES = st.builds(
    PREFIX.pack,
    st.integers(0, 2),
    st.integers(0, 4),
    st.sampled_from([0, 0, 0, 1]),
    st.one_of(st.integers(0, 300), st.integers(0, 2**32 - 1)),
    st.one_of(st.integers(0, 5000), st.integers(0, 2**32 - 1)),
)


def feed(reader: FrameReader, data: bytes, cuts: list[int]) -> list[Frame]:
    frames: list[Frame] = []
    turn = position = 0
    while position < len(data):
        target = reader.target()
        assert len(target) > 0
        count = min(len(target), cuts[turn % len(cuts)], len(data) - position)
        target[:count] = data[position : position + count]
        position, turn = position + count, turn + 1
        frames += reader.advance(count)
    return frames


@settings(max_examples=150, deadline=None)
@given(FRAMES, CUTS)
def test_what_was_framed_arrives(sent: list[tuple[FrameKind, bytes, bytes]], cuts: list[int]) -> None:
    sent = [(kind, header, body if kind is FrameKind.STEP else b"") for kind, header, body in sent]
    data = b"".join(encode_head(kind, header, len(body)) + body for kind, header, body in sent)
    reader = FrameReader(LIMITS, lambda header, length: header)
    assert [(one.kind, one.message, bytes(one.body)) for one in feed(reader, data, cuts)] == sent
    reader.finish()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=300), PREFIXES), max_size=8), CUTS)
def test_any_bytes_are_frames_or_a_remote_error(pieces: list[bytes], cuts: list[int]) -> None:
    def admit(header: bytes, body_length: int) -> Message:
        assert len(header) <= 256 << 10
        assert body_length <= 4096
        return admit_from_dialler(Purpose.STEP, header, body_length)

    reader: FrameReader[Message] = FrameReader(LIMITS, admit)
    try:
        feed(reader, b"".join(pieces), cuts)
        reader.finish()
    except RemoteError:
        pass
