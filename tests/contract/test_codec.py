"""The contract: every message survives the wire, and nothing outside the closed set is accepted."""

import typing
from dataclasses import fields

import pytest

from mohawk.contract import codec, mohawk_pb2
from mohawk.contract.admission import admit_from_dialler, admit_from_listener, admit_hello, admit_part, admit_welcome
from mohawk.contract.codec import decode, decode_part, encode, encode_part
from mohawk.contract.messages import (
    Failure,
    Heartbeat,
    Hello,
    Message,
    Purpose,
    SliceChunk,
    Welcome,
)
from mohawk.contract.steps import Pulse, StagePart
from mohawk.errors import MessageError
from mohawk.nouns.segment import Segment
from tests.support.messages import DIGEST, EXAMPLES, PART


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_a_message_survives_the_wire(message: Message) -> None:
    assert decode(encode(message)) == message


def test_the_examples_cover_the_closed_set() -> None:
    assert {type(message) for message in EXAMPLES} == set(typing.get_args(Message))


def test_a_part_survives_the_wire() -> None:
    assert decode_part(encode_part(PART)) == PART


def test_a_part_is_encoded_by_hand_as_the_table_would() -> None:
    table = codec._converter(StagePart)
    assert encode_part(PART) == table.put(PART).SerializeToString()
    assert decode_part(encode_part(PART)) == table.take(mohawk_pb2.StagePart.FromString(encode_part(PART)))
    empty = [field.name for field in fields(PART) if not getattr(PART, field.name)]
    assert empty == [], "a field that the example does not set could be forgotten"


@pytest.mark.parametrize("count", [0, 1 << 17])
def test_a_segment_has_tokens_and_no_more_than_a_step_holds(count: int) -> None:
    with pytest.raises(MessageError):
        StagePart(segments=(Segment(1, 0, count, True), Segment(2, 0, 1, True)))


def test_a_step_names_no_sequence_twice() -> None:
    with pytest.raises(MessageError):
        StagePart(segments=(Segment(1, 0, 1, True), Segment(1, 1, 1, True)))


def test_a_peer_cannot_sample_outside_the_published_bounds() -> None:
    sampling = mohawk_pb2.Sampling(temperature=float("nan"), top_p=1.0, repetition_penalty=1.0)
    opening = mohawk_pb2.Opening(sequence=1, reserve_tokens=16, sampling=sampling)
    with pytest.raises(MessageError):
        decode_part(mohawk_pb2.StagePart(openings=[opening]).SerializeToString())


def test_an_unknown_purpose_is_refused() -> None:
    with pytest.raises(MessageError):
        decode(mohawk_pb2.Envelope(hello=mohawk_pb2.Hello(purpose=17)).SerializeToString())


@pytest.mark.parametrize("purpose", Purpose)
def test_nobody_may_send_what_only_the_other_side_says(purpose: Purpose) -> None:
    for message in EXAMPLES:
        admitted = []
        for admit in (admit_from_dialler, admit_from_listener):
            try:
                admit(purpose, encode(message), 1 if isinstance(message, SliceChunk) else 0)
                admitted.append(admit)
            except MessageError:
                pass
        assert len(admitted) <= (2 if isinstance(message, Failure | Pulse) else 1)


def test_the_first_message_is_a_greeting() -> None:
    for message in EXAMPLES:
        if not isinstance(message, Hello):
            with pytest.raises(MessageError):
                admit_hello(encode(message), 0)
        if not isinstance(message, Welcome | Failure):
            with pytest.raises(MessageError):
                admit_welcome(encode(message), 0)


def test_bytes_beside_a_control_message_are_refused() -> None:
    with pytest.raises(MessageError):
        admit_from_dialler(Purpose.CONTROL, encode(Heartbeat(1)), 1)


@pytest.mark.parametrize("size", [0, (1 << 20) + 1])
def test_a_chunk_is_neither_empty_nor_larger_than_a_mebibyte(size: int) -> None:
    with pytest.raises(MessageError):
        admit_from_dialler(Purpose.SLICE, encode(SliceChunk(DIGEST, 0)), size)


def test_a_step_carries_exactly_the_tensor_its_segments_imply() -> None:
    part = StagePart(segments=(Segment(1, 0, 3, True),))
    data = encode_part(part)
    assert admit_part(data, 3 * 128, row_bytes=128, is_first=False, token_budget=8) == part
    for length in (0, 3 * 128 - 1, 3 * 128 + 1, 1 << 26):
        with pytest.raises(MessageError):
            admit_part(data, length, row_bytes=128, is_first=False, token_budget=8)
    with pytest.raises(MessageError):
        admit_part(data, 3 * 128, row_bytes=128, is_first=False, token_budget=2)


def test_token_ids_reach_the_first_stage_only() -> None:
    data = encode_part(PART)
    admit_part(data, 0, row_bytes=128, is_first=True, token_budget=8)
    with pytest.raises(MessageError):
        admit_part(data, 4 * 128, row_bytes=128, is_first=False, token_budget=8)
