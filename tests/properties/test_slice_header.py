"""Whatever bytes arrive as a slice's header, we parse them or raise a Remote error; what parses has one spelling."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mohawk.artifact.sealed_slice import MAGIC, MAXIMUM_PREFIX, SealingContext, SliceHeader, parse_header
from mohawk.errors import RemoteError
from mohawk.nouns.model import DataType, LayerRange
from tests.support.slices import make_context

CONTEXTS = st.builds(
    SealingContext,
    model_id=st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,62}[A-Za-z0-9])?", fullmatch=True),
    revision=st.binary(min_size=32, max_size=32).map(bytes.hex),
    version=st.integers(1, 2**53 - 1),
    layers=st.tuples(st.integers(0, 4095), st.integers(0, 4095)).map(lambda pair: LayerRange(min(pair), max(pair))),
    dtype=st.sampled_from(DataType),
    plaintext_bytes=st.integers(1, 1 << 44),
    key_id=st.binary(min_size=16, max_size=16).map(bytes.hex),
)
HEADERS = st.builds(SliceHeader, CONTEXTS, st.binary(min_size=32, max_size=32), st.binary(min_size=16, max_size=16))
GOOD = SliceHeader(make_context(), bytes(32), bytes(16)).encode()


def parse_or_refuse(data: bytes) -> None:
    try:
        header = parse_header(data)
    except RemoteError:
        return
    assert data.startswith(header.encode())


@given(HEADERS, st.binary(max_size=8))
@settings(max_examples=100)
def test_round_trip(header: SliceHeader, rest: bytes) -> None:
    assert parse_header(header.encode() + rest) == header
    assert len(header.encode()) <= MAXIMUM_PREFIX


@given(st.binary(max_size=256) | st.binary(max_size=256).map(lambda data: MAGIC + data))
@settings(max_examples=200)
def test_any_bytes(data: bytes) -> None:
    parse_or_refuse(data)


@given(st.binary(max_size=600))
@settings(max_examples=200)
def test_any_context_bytes(context: bytes) -> None:
    parse_or_refuse(MAGIC + len(context).to_bytes(4, "big") + context + bytes(48))


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
@settings(max_examples=200)
def test_one_byte_changed(at: int, change: int) -> None:
    data = bytearray(GOOD)
    data[at] ^= change
    parse_or_refuse(bytes(data))
