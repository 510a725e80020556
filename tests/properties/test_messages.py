"""Whatever bytes arrive, we parse them or raise MessageError: never anything else."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from mohawk.contract.codec import decode, decode_part, encode, encode_part
from mohawk.errors import MessageError
from tests.support.messages import EXAMPLES, PART

BYTES = st.binary(max_size=512)


@given(BYTES)
@settings(max_examples=200)
def test_any_bytes_are_a_message_or_a_message_error(data: bytes) -> None:
    with contextlib.suppress(MessageError):
        decode(data)
    with contextlib.suppress(MessageError):
        decode_part(data)


@given(st.sampled_from(EXAMPLES), st.integers(0, 1 << 16), st.integers(0, 255), st.booleans())
@settings(max_examples=200)
def test_a_damaged_message_is_a_message_or_a_message_error(message, place, value, cut) -> None:
    data = bytearray(encode(message))
    if data:
        data[place % len(data)] = value
    with contextlib.suppress(MessageError):
        decode(data[: place % (len(data) + 1)] if cut else data)


@given(st.integers(0, 1 << 16), st.integers(0, 255))
@settings(max_examples=200)
def test_a_damaged_part_is_a_part_or_a_message_error(place: int, value: int) -> None:
    data = bytearray(encode_part(PART))
    data[place % len(data)] = value
    with contextlib.suppress(MessageError):
        decode_part(bytes(data))
