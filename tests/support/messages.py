"""One of each message of the contract."""

from __future__ import annotations

from mohawk.contract.attesting import (
    AttestOrder,
    AttestReply,
    CredentialOffer,
    CredentialProof,
    EnrolOrder,
    TpmKeys,
)
from mohawk.contract.codec import encode_part
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
    OfferTokenizer,
    Purpose,
    Route,
    RouteReady,
    Session,
    SliceChunk,
    SliceOffset,
    SliceStatus,
    SliceStored,
    StageReady,
    StatusReply,
    StatusRequest,
    Welcome,
    WorkerState,
    WorkerStatus,
)
from mohawk.contract.operating import (
    ApproveChange,
    AttestNode,
    ChangeShown,
    ChangesListed,
    Done,
    ListChanges,
    NodeVerdict,
    OpenChange,
    ProposeChange,
    Revoke,
    ShowChange,
    WithdrawChange,
)
from mohawk.contract.steps import Opening, SampledToken, Segment, StagePart, Step, StepFailure, StepResult
from mohawk.contract.trust import RenewalGrant, RenewalRequest, TrustAccepted, TrustUpdate
from mohawk.nouns.model import SamplingParameters
from mohawk.nouns.sampling import Grammar, LogitBias, TokenLogprobs

DIGEST = "0" * 64
SLICES = (SliceStatus("slice_0_0", DIGEST, 1), SliceStatus("slice_1_1", "1" * 64, 1))
SESSION = Session("TLSv1.3", "X25519MLKEM768", "TLS_CHACHA20_POLY1305_SHA256", "spiffe://mohawk/worker/a", 90)
SAMPLING = SamplingParameters(
    temperature=0.7,
    seed=5,
    logit_bias=(LogitBias(3, -1.5), LogitBias(1, 100.0)),
    logprobs=True,
    top_logprobs=2,
    grammar=Grammar("{}", (2,)),
)
PART = StagePart(
    segments=(Segment(1, 0, 3, False), Segment(9, 5, 1, True)),
    token_ids=(1, 2, 3, 4),
    openings=(Opening(1, 32, SAMPLING, (1, 2)), Opening(9, 16)),
    closed=(4,),
    number=6,
)
EXAMPLES: tuple[Message, ...] = (
    Hello(Purpose.STEP, "mohawk 0.1", b"list"),
    Welcome("mohawk 0.1", b"list"),
    Failure("busy", "another controller drives this worker", "wait"),
    Heartbeat(7),
    HeartbeatReply(7, WorkerState.READY, 1 << 34),
    LoadStage(b"{}", "slice_0_3", b"{}", ElementType.BF16, 64, 64, 1),
    KeyRequest((DIGEST, DIGEST), b"k" * 1216),
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
    OfferTokenizer(b"{}"),
    SliceOffset(DIGEST, 1 << 20, False),
    SliceChunk(DIGEST, 1 << 40),
    SliceStored(DIGEST),
    Step(5, 1, (encode_part(PART), b"")),
    StepResult(
        5, (SampledToken(1, 400, failed=True), SampledToken(9, 3, TokenLogprobs(-0.5, (3, 4), (-0.5, -2.0)))), 31_000
    ),
    StepFailure(5, "unavailable", "no room"),
    StatusRequest(),
    StatusReply(
        software="mohawk 0.1",
        model_id="demo",
        revision=DIGEST,
        key_provider="key file",
        compute="BF16",
        uptime_seconds=9,
        workers=(WorkerStatus("w", "a:1", WorkerState.READY, "software", "slice_0_1", SLICES, 1, 2, 3, 4, 5, 6),),
        hops=(HopStatus("controller", "w", SESSION), HopStatus("w", "x", None)),
        running_sequences=1,
        waiting_sequences=2,
        kv_tokens_used=3,
        kv_tokens_total=4,
    ),
    AttestOrder(bytes(32), "sha256", 0b10010101),
    AttestReply(b"software/1\n{}"),
    EnrolOrder(),
    TpmKeys(b"{}"),
    CredentialOffer(b"object", b"secret"),
    CredentialProof(bytes(32)),
    AttestNode("w1"),
    NodeVerdict("w1", "tpm", False, ("pcr_value",), ("PCR 4 has another value",), DIGEST, DIGEST, 12),
    Revoke("spiffe://mohawk/worker/w", "stolen"),
    ProposeChange("lift-revocation", "spiffe://mohawk/worker/w", b"content"),
    ApproveChange(DIGEST),
    WithdrawChange(DIGEST),
    ShowChange(DIGEST),
    ChangeShown("lift-revocation", "w", b"content", "spiffe://mohawk/operator/o", 1 << 31),
    ListChanges(),
    ChangesListed((OpenChange(DIGEST, "lift-revocation", "w", "spiffe://mohawk/operator/o", 1 << 31),)),
    Done("it is done"),
)
