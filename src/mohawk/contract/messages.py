"""What nodes may say to each other: a closed set of frozen messages, each valid by construction (MessageError
otherwise).

Field names equal those of `mohawk.proto`; docs/spec/messages.md says who may send what, and when. Bounds here are what
a well-behaved node of this version never exceeds: a message beyond them is a lie or a bug of the peer, and it is
refused before anything acts on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias, get_args

from mohawk.contract.attesting import (
    AttestOrder,
    AttestReply,
    CredentialOffer,
    CredentialProof,
    EnrolOrder,
    TpmKeys,
)
from mohawk.contract.checks import check_field, check_text, require
from mohawk.contract.operating import OperatorMessage
from mohawk.contract.probing import LinkProbed, ProbeLink, ProbeStage, StageProbed
from mohawk.contract.steps import (
    MAXIMUM_ROWS_PER_STEP,
    ElementType,
    NeighbourSilent,
    Pulse,
    Step,
    StepFailure,
    StepResult,
)
from mohawk.contract.trust import MAXIMUM_LIST, RenewalGrant, RenewalRequest, TrustAccepted, TrustUpdate
from mohawk.ids import check_digest, check_node_name, parse_slice_id

CHUNK_BYTES = 1 << 20
MAXIMUM_RUN = 512
"""Slices that a stage may be made of: as many as a manifest may name."""


class Purpose(IntEnum):
    """What a connection is for; decides who may dial it and which messages it carries."""

    CONTROL = 1
    SLICE = 2
    STEP = 3
    OPERATOR = 4


class WorkerState(IntEnum):
    EMPTY = 0
    LOADING = 1
    READY = 2
    FAILED = 3


@dataclass(frozen=True, slots=True)
class Hello:
    purpose: Purpose
    software: str
    deny_list: bytes = b""
    takes_over: bool = False

    def __post_init__(self) -> None:
        check_text(self.software)
        require(len(self.deny_list) <= MAXIMUM_LIST, "a deny-list that is too long")


@dataclass(frozen=True, slots=True)
class Welcome:
    software: str
    deny_list: bytes = b""

    def __post_init__(self) -> None:
        check_text(self.software)
        require(len(self.deny_list) <= MAXIMUM_LIST, "a deny-list that is too long")


@dataclass(frozen=True, slots=True)
class Failure:
    """The answer to a request that could not be met. Text of the peer's: shown to operators only, encoded."""

    code: str
    message: str
    hint: str = ""

    def __post_init__(self) -> None:
        check_text(self.code, self.message, self.hint)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    number: int


@dataclass(frozen=True, slots=True)
class HeartbeatReply:
    """`last_step`: the newest step that this stage has done; `compute_microseconds`: what all of them took it."""

    number: int
    state: WorkerState
    resident_bytes: int
    refused_tickets: int = 0
    last_step: int = 0
    compute_microseconds: int = 0


@dataclass(frozen=True, slots=True)
class LoadStage:
    """`run_id`: the stage's slices, as one or more in a row, written like one slice of all their layers. `beside`: the
    stage that serves is kept, and serves on, until a `Route` names this one.
    """

    manifest: bytes
    run_id: str
    config: bytes
    compute: ElementType
    kv_tokens: int
    token_budget: int
    epoch: int
    beside: bool = False

    def __post_init__(self) -> None:
        check_field(parse_slice_id, self.run_id)
        require(0 < self.token_budget <= MAXIMUM_ROWS_PER_STEP, "a token budget out of bounds")
        require(self.kv_tokens > 0, "a KV pool without room")


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """The data keys of a run's slices, in order, sealed to this key."""

    slice_digests: tuple[str, ...]
    public_key: bytes

    def __post_init__(self) -> None:
        require(0 < len(self.slice_digests) <= MAXIMUM_RUN, "a request for no key, or for more than a model has")
        for digest in self.slice_digests:
            check_field(check_digest, digest)
        require(len(self.public_key) <= 4096, "a public key of impossible length")


@dataclass(frozen=True, slots=True)
class KeyGrant:
    """`sealed_keys`: 32 bytes for each slice, joined in order, sealed as one message."""

    sealed_keys: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class StageReady:
    run_id: str
    weight_bytes: int
    kv_bytes: int
    locked_bytes: int
    open_milliseconds: int
    build_milliseconds: int
    test_milliseconds: int

    def __post_init__(self) -> None:
        check_field(parse_slice_id, self.run_id)


@dataclass(frozen=True, slots=True)
class Hop:
    name: str
    host: str
    port: int

    def __post_init__(self) -> None:
        check_field(check_node_name, self.name)
        check_text(self.host)
        require(0 < self.port < 65536, "not a port")


@dataclass(frozen=True, slots=True)
class Session:
    """What one end saw of a connection after its handshake; `peer` is a SPIFFE id."""

    version: str
    group: str
    suite: str
    peer: str
    rtt_microseconds: int

    def __post_init__(self) -> None:
        check_text(self.version, self.group, self.suite, self.peer)


@dataclass(frozen=True, slots=True)
class Route:
    """Where the stage `run_id` sends its activations; no `next`: it is the last and answers the controller. Another
    stage that the worker holds is overwritten.

    `previous`: the SPIFFE id of the only peer that may send this stage steps. `plan` (SHA-256), `stage` (from 0) and
    `connection_id` (random) are what this stage's tickets are bound to. `fresh`: the stage forgets all sequences first.
    """

    epoch: int
    next: Hop | None
    previous: str
    plan: bytes
    stage: int
    connection_id: bytes
    run_id: str
    fresh: bool = False

    def __post_init__(self) -> None:
        check_text(self.previous)
        check_field(parse_slice_id, self.run_id)
        require(self.epoch < 1 << 32, "an epoch of more than 32 bits")
        require(len(self.plan) == 32 and len(self.connection_id) == 16, "a route without a plan or a connection id")


@dataclass(frozen=True, slots=True)
class RouteReady:
    epoch: int
    session: Session | None


@dataclass(frozen=True, slots=True)
class OfferSlice:
    manifest: bytes
    slice_id: str

    def __post_init__(self) -> None:
        check_field(parse_slice_id, self.slice_id)


@dataclass(frozen=True, slots=True)
class OfferTokenizer:
    """The model's tokenizer.json, for the stage that samples under grammars; chunks follow as for a slice."""

    manifest: bytes


@dataclass(frozen=True, slots=True)
class SliceOffset:
    """How many bytes of the slice, or of the tokenizer, the worker holds already: the next chunk starts there."""

    digest: str
    offset: int
    complete: bool

    def __post_init__(self) -> None:
        check_field(check_digest, self.digest)


@dataclass(frozen=True, slots=True)
class SliceChunk:
    digest: str
    offset: int

    def __post_init__(self) -> None:
        check_field(check_digest, self.digest)


@dataclass(frozen=True, slots=True)
class SliceStored:
    digest: str

    def __post_init__(self) -> None:
        check_field(check_digest, self.digest)


@dataclass(frozen=True, slots=True)
class StatusRequest:
    pass


@dataclass(frozen=True, slots=True)
class SliceStatus:
    slice_id: str
    digest: str
    sealed_bytes: int

    def __post_init__(self) -> None:
        check_text(self.slice_id, self.digest)


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """`run_id` is empty where there is no stage; `sealed_bytes` counts all of `slices`. A spare has no place in the
    chain; its run is what it holds ready.
    """

    name: str
    address: str
    state: WorkerState
    evidence: str
    run_id: str
    slices: tuple[SliceStatus, ...]
    sealed_bytes: int
    weight_bytes: int
    kv_bytes: int
    locked_bytes: int
    resident_bytes: int
    sent_bytes: int
    refused_tickets: int = 0
    is_spare: bool = False

    def __post_init__(self) -> None:
        check_text(self.name, self.address, self.evidence, self.run_id)
        require(len(self.slices) <= MAXIMUM_RUN, "a worker with more slices than a model has")


@dataclass(frozen=True, slots=True)
class HopStatus:
    origin: str
    target: str
    session: Session | None

    def __post_init__(self) -> None:
        check_text(self.origin, self.target)


@dataclass(frozen=True, slots=True)
class StatusReply:
    software: str
    model_id: str
    revision: str
    key_provider: str
    compute: str
    uptime_seconds: int
    workers: tuple[WorkerStatus, ...]
    hops: tuple[HopStatus, ...]
    running_sequences: int
    waiting_sequences: int
    kv_tokens_used: int
    kv_tokens_total: int
    kv_tokens_retained: int
    """Not in use: kept for whoever goes on from them, and given up when somebody needs the room."""

    def __post_init__(self) -> None:
        check_text(self.software, self.model_id, self.revision, self.key_provider, self.compute)


Message: TypeAlias = (
    Hello
    | Welcome
    | Failure
    | Heartbeat
    | HeartbeatReply
    | LoadStage
    | KeyRequest
    | KeyGrant
    | StageReady
    | Route
    | RouteReady
    | ProbeStage
    | StageProbed
    | ProbeLink
    | LinkProbed
    | TrustUpdate
    | TrustAccepted
    | RenewalRequest
    | RenewalGrant
    | OfferSlice
    | OfferTokenizer
    | SliceOffset
    | SliceChunk
    | SliceStored
    | Step
    | StepResult
    | StepFailure
    | Pulse
    | NeighbourSilent
    | StatusRequest
    | StatusReply
    | AttestOrder
    | AttestReply
    | EnrolOrder
    | TpmKeys
    | CredentialOffer
    | CredentialProof
    | OperatorMessage
)
MESSAGES = frozenset(get_args(Message))
