"""The contract: every message survives the wire, and nothing outside the closed set is accepted."""

import typing

import pytest

from mohawk.contract import mohawk_pb2
from mohawk.contract.admission import admit_from_dialler, admit_from_listener, admit_hello, admit_part, admit_welcome
from mohawk.contract.codec import decode, decode_part, encode, encode_part
from mohawk.contract.messages import (
    ElementType,
    Failure,
    Heartbeat,
    HeartbeatReply,
    Hello,
    Hop,
    HopStatus,
    KeyGrant,
    KeyRequest,
    LoadStage,
    Message,
    OfferSlice,
    Purpose,
    Route,
    RouteReady,
    Session,
    SliceChunk,
    SliceOffset,
    SliceStored,
    StageReady,
    StatusReply,
    StatusRequest,
    Welcome,
    WorkerState,
    WorkerStatus,
)
from mohawk.contract.steps import Opening, SampledToken, Segment, StagePart, Step, StepFailure, StepResult
from mohawk.contract.trust import RenewalGrant, RenewalRequest, TrustAccepted, TrustUpdate
from mohawk.errors import MessageError
from mohawk.nouns.model import SamplingParameters

DIGEST = "0" * 64
SESSION = Session("TLSv1.3", "X25519MLKEM768", "TLS_CHACHA20_POLY1305_SHA256", "spiffe://mohawk/worker/a", 90)
PART = StagePart(
    segments=(Segment(1, 0, 3, True), Segment(9, 5, 1, True)),
    token_ids=(1, 2, 3, 4),
    openings=(Opening(1, 32, SamplingParameters(temperature=0.7, seed=5), (1, 2)), Opening(9, 16)),
    closed=(4,),
)
EXAMPLES: tuple[Message, ...] = (
    Hello(Purpose.STEP, "mohawk 0.1", b"list"),
    Welcome("mohawk 0.1", b"list"),
    Failure("busy", "another controller drives this worker", "wait"),
    Heartbeat(7),
    HeartbeatReply(7, WorkerState.READY, 1 << 34),
    LoadStage(b"{}", "slice_0_3", b"{}", ElementType.BF16, 64, 64, 1),
    KeyRequest(DIGEST, b"k" * 1216),
    KeyGrant(b"sealed", b"signature"),
    StageReady("slice_0_3", 1, 2, 3, 4, 5, 6),
    Route(3, Hop("worker-2", "127.0.0.1", 8003), "spiffe://mohawk/controller/c", bytes(32), 0, bytes(16)),
    Route(3, None, "spiffe://mohawk/worker/w", b"p" * 32, 2, b"c" * 16),
    RouteReady(3, SESSION),
    RouteReady(3, None),
    TrustUpdate(b"list", b"roots", True),
    TrustAccepted(7, 2),
    RenewalRequest(b"request"),
    RenewalGrant((b"leaf", b"issuing")),
    OfferSlice(b"{}", "slice_0_3"),
    SliceOffset(DIGEST, 1 << 20, False),
    SliceChunk(DIGEST, 1 << 40),
    SliceStored(DIGEST),
    Step(5, 1, (encode_part(PART), b"")),
    StepResult(5, (SampledToken(1, 400), SampledToken(9, 3)), 31_000),
    StepFailure(5, "unavailable", "no room"),
    StatusRequest(),
    StatusReply(
        software="mohawk 0.1",
        model_id="demo",
        revision=DIGEST,
        key_provider="key file",
        compute="BF16",
        uptime_seconds=9,
        workers=(WorkerStatus("w", "a:1", WorkerState.READY, "software", "slice_0_1", DIGEST, 1, 2, 3, 4, 5, 6),),
        hops=(HopStatus("controller", "w", SESSION), HopStatus("w", "x", None)),
        running_sequences=1,
        waiting_sequences=2,
        kv_tokens_used=3,
        kv_tokens_total=4,
    ),
)


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_a_message_survives_the_wire(message: Message) -> None:
    assert decode(encode(message)) == message


def test_the_examples_cover_the_closed_set() -> None:
    assert {type(message) for message in EXAMPLES} == set(typing.get_args(Message))


def test_a_part_survives_the_wire() -> None:
    assert decode_part(encode_part(PART)) == PART


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
        assert len(admitted) <= (2 if isinstance(message, Failure) else 1)


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
