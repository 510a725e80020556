from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Purpose(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PURPOSE_UNSPECIFIED: _ClassVar[Purpose]
    CONTROL: _ClassVar[Purpose]
    SLICE: _ClassVar[Purpose]
    STEP: _ClassVar[Purpose]
    OPERATOR: _ClassVar[Purpose]

class WorkerState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EMPTY: _ClassVar[WorkerState]
    LOADING: _ClassVar[WorkerState]
    READY: _ClassVar[WorkerState]
    FAILED: _ClassVar[WorkerState]

class ElementType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ELEMENT_UNSPECIFIED: _ClassVar[ElementType]
    F32: _ClassVar[ElementType]
    F16: _ClassVar[ElementType]
    BF16: _ClassVar[ElementType]
PURPOSE_UNSPECIFIED: Purpose
CONTROL: Purpose
SLICE: Purpose
STEP: Purpose
OPERATOR: Purpose
EMPTY: WorkerState
LOADING: WorkerState
READY: WorkerState
FAILED: WorkerState
ELEMENT_UNSPECIFIED: ElementType
F32: ElementType
F16: ElementType
BF16: ElementType

class Envelope(_message.Message):
    __slots__ = ("hello", "welcome", "failure", "heartbeat", "heartbeat_reply", "load_stage", "key_request", "key_grant", "stage_ready", "route", "route_ready", "probe_stage", "stage_probed", "probe_link", "link_probed", "trust_update", "trust_accepted", "offer_slice", "slice_offset", "slice_chunk", "slice_stored", "offer_tokenizer", "step", "step_result", "step_failure", "pulse", "neighbour_silent", "status_request", "status_reply", "attest_order", "attest_reply", "enrol_order", "tpm_keys", "credential_offer", "credential_proof", "attest_node", "node_verdict", "drain_worker", "replan", "replanned", "revoke", "propose_change", "approve_change", "withdraw_change", "show_change", "change_shown", "list_changes", "changes_listed", "done", "renewal_request", "renewal_grant")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_REPLY_FIELD_NUMBER: _ClassVar[int]
    LOAD_STAGE_FIELD_NUMBER: _ClassVar[int]
    KEY_REQUEST_FIELD_NUMBER: _ClassVar[int]
    KEY_GRANT_FIELD_NUMBER: _ClassVar[int]
    STAGE_READY_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    ROUTE_READY_FIELD_NUMBER: _ClassVar[int]
    PROBE_STAGE_FIELD_NUMBER: _ClassVar[int]
    STAGE_PROBED_FIELD_NUMBER: _ClassVar[int]
    PROBE_LINK_FIELD_NUMBER: _ClassVar[int]
    LINK_PROBED_FIELD_NUMBER: _ClassVar[int]
    TRUST_UPDATE_FIELD_NUMBER: _ClassVar[int]
    TRUST_ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    OFFER_SLICE_FIELD_NUMBER: _ClassVar[int]
    SLICE_OFFSET_FIELD_NUMBER: _ClassVar[int]
    SLICE_CHUNK_FIELD_NUMBER: _ClassVar[int]
    SLICE_STORED_FIELD_NUMBER: _ClassVar[int]
    OFFER_TOKENIZER_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    STEP_RESULT_FIELD_NUMBER: _ClassVar[int]
    STEP_FAILURE_FIELD_NUMBER: _ClassVar[int]
    PULSE_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOUR_SILENT_FIELD_NUMBER: _ClassVar[int]
    STATUS_REQUEST_FIELD_NUMBER: _ClassVar[int]
    STATUS_REPLY_FIELD_NUMBER: _ClassVar[int]
    ATTEST_ORDER_FIELD_NUMBER: _ClassVar[int]
    ATTEST_REPLY_FIELD_NUMBER: _ClassVar[int]
    ENROL_ORDER_FIELD_NUMBER: _ClassVar[int]
    TPM_KEYS_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_OFFER_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_PROOF_FIELD_NUMBER: _ClassVar[int]
    ATTEST_NODE_FIELD_NUMBER: _ClassVar[int]
    NODE_VERDICT_FIELD_NUMBER: _ClassVar[int]
    DRAIN_WORKER_FIELD_NUMBER: _ClassVar[int]
    REPLAN_FIELD_NUMBER: _ClassVar[int]
    REPLANNED_FIELD_NUMBER: _ClassVar[int]
    REVOKE_FIELD_NUMBER: _ClassVar[int]
    PROPOSE_CHANGE_FIELD_NUMBER: _ClassVar[int]
    APPROVE_CHANGE_FIELD_NUMBER: _ClassVar[int]
    WITHDRAW_CHANGE_FIELD_NUMBER: _ClassVar[int]
    SHOW_CHANGE_FIELD_NUMBER: _ClassVar[int]
    CHANGE_SHOWN_FIELD_NUMBER: _ClassVar[int]
    LIST_CHANGES_FIELD_NUMBER: _ClassVar[int]
    CHANGES_LISTED_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    RENEWAL_REQUEST_FIELD_NUMBER: _ClassVar[int]
    RENEWAL_GRANT_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    welcome: Welcome
    failure: Failure
    heartbeat: Heartbeat
    heartbeat_reply: HeartbeatReply
    load_stage: LoadStage
    key_request: KeyRequest
    key_grant: KeyGrant
    stage_ready: StageReady
    route: Route
    route_ready: RouteReady
    probe_stage: ProbeStage
    stage_probed: StageProbed
    probe_link: ProbeLink
    link_probed: LinkProbed
    trust_update: TrustUpdate
    trust_accepted: TrustAccepted
    offer_slice: OfferSlice
    slice_offset: SliceOffset
    slice_chunk: SliceChunk
    slice_stored: SliceStored
    offer_tokenizer: OfferTokenizer
    step: Step
    step_result: StepResult
    step_failure: StepFailure
    pulse: Pulse
    neighbour_silent: NeighbourSilent
    status_request: StatusRequest
    status_reply: StatusReply
    attest_order: AttestOrder
    attest_reply: AttestReply
    enrol_order: EnrolOrder
    tpm_keys: TpmKeys
    credential_offer: CredentialOffer
    credential_proof: CredentialProof
    attest_node: AttestNode
    node_verdict: NodeVerdict
    drain_worker: DrainWorker
    replan: Replan
    replanned: Replanned
    revoke: Revoke
    propose_change: ProposeChange
    approve_change: ApproveChange
    withdraw_change: WithdrawChange
    show_change: ShowChange
    change_shown: ChangeShown
    list_changes: ListChanges
    changes_listed: ChangesListed
    done: Done
    renewal_request: RenewalRequest
    renewal_grant: RenewalGrant
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., welcome: _Optional[_Union[Welcome, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., heartbeat_reply: _Optional[_Union[HeartbeatReply, _Mapping]] = ..., load_stage: _Optional[_Union[LoadStage, _Mapping]] = ..., key_request: _Optional[_Union[KeyRequest, _Mapping]] = ..., key_grant: _Optional[_Union[KeyGrant, _Mapping]] = ..., stage_ready: _Optional[_Union[StageReady, _Mapping]] = ..., route: _Optional[_Union[Route, _Mapping]] = ..., route_ready: _Optional[_Union[RouteReady, _Mapping]] = ..., probe_stage: _Optional[_Union[ProbeStage, _Mapping]] = ..., stage_probed: _Optional[_Union[StageProbed, _Mapping]] = ..., probe_link: _Optional[_Union[ProbeLink, _Mapping]] = ..., link_probed: _Optional[_Union[LinkProbed, _Mapping]] = ..., trust_update: _Optional[_Union[TrustUpdate, _Mapping]] = ..., trust_accepted: _Optional[_Union[TrustAccepted, _Mapping]] = ..., offer_slice: _Optional[_Union[OfferSlice, _Mapping]] = ..., slice_offset: _Optional[_Union[SliceOffset, _Mapping]] = ..., slice_chunk: _Optional[_Union[SliceChunk, _Mapping]] = ..., slice_stored: _Optional[_Union[SliceStored, _Mapping]] = ..., offer_tokenizer: _Optional[_Union[OfferTokenizer, _Mapping]] = ..., step: _Optional[_Union[Step, _Mapping]] = ..., step_result: _Optional[_Union[StepResult, _Mapping]] = ..., step_failure: _Optional[_Union[StepFailure, _Mapping]] = ..., pulse: _Optional[_Union[Pulse, _Mapping]] = ..., neighbour_silent: _Optional[_Union[NeighbourSilent, _Mapping]] = ..., status_request: _Optional[_Union[StatusRequest, _Mapping]] = ..., status_reply: _Optional[_Union[StatusReply, _Mapping]] = ..., attest_order: _Optional[_Union[AttestOrder, _Mapping]] = ..., attest_reply: _Optional[_Union[AttestReply, _Mapping]] = ..., enrol_order: _Optional[_Union[EnrolOrder, _Mapping]] = ..., tpm_keys: _Optional[_Union[TpmKeys, _Mapping]] = ..., credential_offer: _Optional[_Union[CredentialOffer, _Mapping]] = ..., credential_proof: _Optional[_Union[CredentialProof, _Mapping]] = ..., attest_node: _Optional[_Union[AttestNode, _Mapping]] = ..., node_verdict: _Optional[_Union[NodeVerdict, _Mapping]] = ..., drain_worker: _Optional[_Union[DrainWorker, _Mapping]] = ..., replan: _Optional[_Union[Replan, _Mapping]] = ..., replanned: _Optional[_Union[Replanned, _Mapping]] = ..., revoke: _Optional[_Union[Revoke, _Mapping]] = ..., propose_change: _Optional[_Union[ProposeChange, _Mapping]] = ..., approve_change: _Optional[_Union[ApproveChange, _Mapping]] = ..., withdraw_change: _Optional[_Union[WithdrawChange, _Mapping]] = ..., show_change: _Optional[_Union[ShowChange, _Mapping]] = ..., change_shown: _Optional[_Union[ChangeShown, _Mapping]] = ..., list_changes: _Optional[_Union[ListChanges, _Mapping]] = ..., changes_listed: _Optional[_Union[ChangesListed, _Mapping]] = ..., done: _Optional[_Union[Done, _Mapping]] = ..., renewal_request: _Optional[_Union[RenewalRequest, _Mapping]] = ..., renewal_grant: _Optional[_Union[RenewalGrant, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("purpose", "software", "deny_list", "takes_over")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    DENY_LIST_FIELD_NUMBER: _ClassVar[int]
    TAKES_OVER_FIELD_NUMBER: _ClassVar[int]
    purpose: Purpose
    software: str
    deny_list: bytes
    takes_over: bool
    def __init__(self, purpose: _Optional[_Union[Purpose, str]] = ..., software: _Optional[str] = ..., deny_list: _Optional[bytes] = ..., takes_over: _Optional[bool] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("software", "deny_list")
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    DENY_LIST_FIELD_NUMBER: _ClassVar[int]
    software: str
    deny_list: bytes
    def __init__(self, software: _Optional[str] = ..., deny_list: _Optional[bytes] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("code", "message", "hint")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    hint: str
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., hint: _Optional[str] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class HeartbeatReply(_message.Message):
    __slots__ = ("number", "state", "resident_bytes", "refused_tickets", "last_step", "compute_microseconds")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    REFUSED_TICKETS_FIELD_NUMBER: _ClassVar[int]
    LAST_STEP_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_MICROSECONDS_FIELD_NUMBER: _ClassVar[int]
    number: int
    state: WorkerState
    resident_bytes: int
    refused_tickets: int
    last_step: int
    compute_microseconds: int
    def __init__(self, number: _Optional[int] = ..., state: _Optional[_Union[WorkerState, str]] = ..., resident_bytes: _Optional[int] = ..., refused_tickets: _Optional[int] = ..., last_step: _Optional[int] = ..., compute_microseconds: _Optional[int] = ...) -> None: ...

class LoadStage(_message.Message):
    __slots__ = ("manifest", "run_id", "config", "compute", "kv_tokens", "token_budget", "epoch", "beside")
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_FIELD_NUMBER: _ClassVar[int]
    KV_TOKENS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_BUDGET_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    BESIDE_FIELD_NUMBER: _ClassVar[int]
    manifest: bytes
    run_id: str
    config: bytes
    compute: ElementType
    kv_tokens: int
    token_budget: int
    epoch: int
    beside: bool
    def __init__(self, manifest: _Optional[bytes] = ..., run_id: _Optional[str] = ..., config: _Optional[bytes] = ..., compute: _Optional[_Union[ElementType, str]] = ..., kv_tokens: _Optional[int] = ..., token_budget: _Optional[int] = ..., epoch: _Optional[int] = ..., beside: _Optional[bool] = ...) -> None: ...

class KeyRequest(_message.Message):
    __slots__ = ("slice_digests", "public_key")
    SLICE_DIGESTS_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    slice_digests: _containers.RepeatedScalarFieldContainer[str]
    public_key: bytes
    def __init__(self, slice_digests: _Optional[_Iterable[str]] = ..., public_key: _Optional[bytes] = ...) -> None: ...

class KeyGrant(_message.Message):
    __slots__ = ("sealed_keys", "signature")
    SEALED_KEYS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    sealed_keys: bytes
    signature: bytes
    def __init__(self, sealed_keys: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class StageReady(_message.Message):
    __slots__ = ("run_id", "weight_bytes", "kv_bytes", "locked_bytes", "open_milliseconds", "build_milliseconds", "test_milliseconds")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_BYTES_FIELD_NUMBER: _ClassVar[int]
    KV_BYTES_FIELD_NUMBER: _ClassVar[int]
    LOCKED_BYTES_FIELD_NUMBER: _ClassVar[int]
    OPEN_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    BUILD_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    TEST_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    weight_bytes: int
    kv_bytes: int
    locked_bytes: int
    open_milliseconds: int
    build_milliseconds: int
    test_milliseconds: int
    def __init__(self, run_id: _Optional[str] = ..., weight_bytes: _Optional[int] = ..., kv_bytes: _Optional[int] = ..., locked_bytes: _Optional[int] = ..., open_milliseconds: _Optional[int] = ..., build_milliseconds: _Optional[int] = ..., test_milliseconds: _Optional[int] = ...) -> None: ...

class Hop(_message.Message):
    __slots__ = ("name", "host", "port")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    name: str
    host: str
    port: int
    def __init__(self, name: _Optional[str] = ..., host: _Optional[str] = ..., port: _Optional[int] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ("version", "group", "suite", "peer", "rtt_microseconds")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    SUITE_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    RTT_MICROSECONDS_FIELD_NUMBER: _ClassVar[int]
    version: str
    group: str
    suite: str
    peer: str
    rtt_microseconds: int
    def __init__(self, version: _Optional[str] = ..., group: _Optional[str] = ..., suite: _Optional[str] = ..., peer: _Optional[str] = ..., rtt_microseconds: _Optional[int] = ...) -> None: ...

class Route(_message.Message):
    __slots__ = ("epoch", "next", "previous", "plan", "stage", "connection_id", "fresh", "run_id")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_ID_FIELD_NUMBER: _ClassVar[int]
    FRESH_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    next: Hop
    previous: str
    plan: bytes
    stage: int
    connection_id: bytes
    fresh: bool
    run_id: str
    def __init__(self, epoch: _Optional[int] = ..., next: _Optional[_Union[Hop, _Mapping]] = ..., previous: _Optional[str] = ..., plan: _Optional[bytes] = ..., stage: _Optional[int] = ..., connection_id: _Optional[bytes] = ..., fresh: _Optional[bool] = ..., run_id: _Optional[str] = ...) -> None: ...

class RouteReady(_message.Message):
    __slots__ = ("epoch", "session")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    session: Session
    def __init__(self, epoch: _Optional[int] = ..., session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class ProbeStage(_message.Message):
    __slots__ = ("manifest", "config", "compute", "rows")
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    manifest: bytes
    config: bytes
    compute: ElementType
    rows: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, manifest: _Optional[bytes] = ..., config: _Optional[bytes] = ..., compute: _Optional[_Union[ElementType, str]] = ..., rows: _Optional[_Iterable[int]] = ...) -> None: ...

class ProbePoint(_message.Message):
    __slots__ = ("rows", "nanoseconds")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    NANOSECONDS_FIELD_NUMBER: _ClassVar[int]
    rows: int
    nanoseconds: int
    def __init__(self, rows: _Optional[int] = ..., nanoseconds: _Optional[int] = ...) -> None: ...

class StageProbed(_message.Message):
    __slots__ = ("memory_bytes", "layer", "embedding", "head")
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    memory_bytes: int
    layer: _containers.RepeatedCompositeFieldContainer[ProbePoint]
    embedding: _containers.RepeatedCompositeFieldContainer[ProbePoint]
    head: _containers.RepeatedCompositeFieldContainer[ProbePoint]
    def __init__(self, memory_bytes: _Optional[int] = ..., layer: _Optional[_Iterable[_Union[ProbePoint, _Mapping]]] = ..., embedding: _Optional[_Iterable[_Union[ProbePoint, _Mapping]]] = ..., head: _Optional[_Iterable[_Union[ProbePoint, _Mapping]]] = ...) -> None: ...

class ProbeLink(_message.Message):
    __slots__ = ("padding",)
    PADDING_FIELD_NUMBER: _ClassVar[int]
    padding: bytes
    def __init__(self, padding: _Optional[bytes] = ...) -> None: ...

class LinkProbed(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TrustUpdate(_message.Message):
    __slots__ = ("deny_list", "roots", "renew")
    DENY_LIST_FIELD_NUMBER: _ClassVar[int]
    ROOTS_FIELD_NUMBER: _ClassVar[int]
    RENEW_FIELD_NUMBER: _ClassVar[int]
    deny_list: bytes
    roots: bytes
    renew: bool
    def __init__(self, deny_list: _Optional[bytes] = ..., roots: _Optional[bytes] = ..., renew: _Optional[bool] = ...) -> None: ...

class TrustAccepted(_message.Message):
    __slots__ = ("deny_list_number", "roots_number")
    DENY_LIST_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ROOTS_NUMBER_FIELD_NUMBER: _ClassVar[int]
    deny_list_number: int
    roots_number: int
    def __init__(self, deny_list_number: _Optional[int] = ..., roots_number: _Optional[int] = ...) -> None: ...

class RenewalRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    def __init__(self, request: _Optional[bytes] = ...) -> None: ...

class RenewalGrant(_message.Message):
    __slots__ = ("chain",)
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    chain: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, chain: _Optional[_Iterable[bytes]] = ...) -> None: ...

class OfferSlice(_message.Message):
    __slots__ = ("manifest", "slice_id")
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    SLICE_ID_FIELD_NUMBER: _ClassVar[int]
    manifest: bytes
    slice_id: str
    def __init__(self, manifest: _Optional[bytes] = ..., slice_id: _Optional[str] = ...) -> None: ...

class OfferTokenizer(_message.Message):
    __slots__ = ("manifest",)
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    manifest: bytes
    def __init__(self, manifest: _Optional[bytes] = ...) -> None: ...

class SliceOffset(_message.Message):
    __slots__ = ("digest", "offset", "complete")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    digest: str
    offset: int
    complete: bool
    def __init__(self, digest: _Optional[str] = ..., offset: _Optional[int] = ..., complete: _Optional[bool] = ...) -> None: ...

class SliceChunk(_message.Message):
    __slots__ = ("digest", "offset")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    digest: str
    offset: int
    def __init__(self, digest: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class SliceStored(_message.Message):
    __slots__ = ("digest",)
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    digest: str
    def __init__(self, digest: _Optional[str] = ...) -> None: ...

class Step(_message.Message):
    __slots__ = ("number", "epoch", "parts")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    number: int
    epoch: int
    parts: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, number: _Optional[int] = ..., epoch: _Optional[int] = ..., parts: _Optional[_Iterable[bytes]] = ...) -> None: ...

class StagePart(_message.Message):
    __slots__ = ("segments", "token_ids", "openings", "closed", "number", "growths", "retired")
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    OPENINGS_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    GROWTHS_FIELD_NUMBER: _ClassVar[int]
    RETIRED_FIELD_NUMBER: _ClassVar[int]
    segments: _containers.RepeatedCompositeFieldContainer[Segment]
    token_ids: _containers.RepeatedScalarFieldContainer[int]
    openings: _containers.RepeatedCompositeFieldContainer[Opening]
    closed: _containers.RepeatedScalarFieldContainer[int]
    number: int
    growths: _containers.RepeatedCompositeFieldContainer[Growth]
    retired: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, segments: _Optional[_Iterable[_Union[Segment, _Mapping]]] = ..., token_ids: _Optional[_Iterable[int]] = ..., openings: _Optional[_Iterable[_Union[Opening, _Mapping]]] = ..., closed: _Optional[_Iterable[int]] = ..., number: _Optional[int] = ..., growths: _Optional[_Iterable[_Union[Growth, _Mapping]]] = ..., retired: _Optional[_Iterable[int]] = ...) -> None: ...

class Segment(_message.Message):
    __slots__ = ("sequence", "start", "count", "sample")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    start: int
    count: int
    sample: bool
    def __init__(self, sequence: _Optional[int] = ..., start: _Optional[int] = ..., count: _Optional[int] = ..., sample: _Optional[bool] = ...) -> None: ...

class Growth(_message.Message):
    __slots__ = ("sequence", "reserve_tokens")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RESERVE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    reserve_tokens: int
    def __init__(self, sequence: _Optional[int] = ..., reserve_tokens: _Optional[int] = ...) -> None: ...

class Opening(_message.Message):
    __slots__ = ("sequence", "reserve_tokens", "sampling", "generated", "source")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RESERVE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    GENERATED_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    reserve_tokens: int
    sampling: Sampling
    generated: _containers.RepeatedScalarFieldContainer[int]
    source: Source
    def __init__(self, sequence: _Optional[int] = ..., reserve_tokens: _Optional[int] = ..., sampling: _Optional[_Union[Sampling, _Mapping]] = ..., generated: _Optional[_Iterable[int]] = ..., source: _Optional[_Union[Source, _Mapping]] = ...) -> None: ...

class Source(_message.Message):
    __slots__ = ("donor", "tokens", "adopts")
    DONOR_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    ADOPTS_FIELD_NUMBER: _ClassVar[int]
    donor: int
    tokens: int
    adopts: bool
    def __init__(self, donor: _Optional[int] = ..., tokens: _Optional[int] = ..., adopts: _Optional[bool] = ...) -> None: ...

class Sampling(_message.Message):
    __slots__ = ("temperature", "top_k", "top_p", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty", "seed", "logit_bias", "logprobs", "top_logprobs", "grammar")
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    TOP_P_FIELD_NUMBER: _ClassVar[int]
    MIN_P_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_PENALTY_FIELD_NUMBER: _ClassVar[int]
    FREQUENCY_PENALTY_FIELD_NUMBER: _ClassVar[int]
    REPETITION_PENALTY_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    LOGIT_BIAS_FIELD_NUMBER: _ClassVar[int]
    LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    TOP_LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    GRAMMAR_FIELD_NUMBER: _ClassVar[int]
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    presence_penalty: float
    frequency_penalty: float
    repetition_penalty: float
    seed: int
    logit_bias: _containers.RepeatedCompositeFieldContainer[LogitBias]
    logprobs: bool
    top_logprobs: int
    grammar: Grammar
    def __init__(self, temperature: _Optional[float] = ..., top_k: _Optional[int] = ..., top_p: _Optional[float] = ..., min_p: _Optional[float] = ..., presence_penalty: _Optional[float] = ..., frequency_penalty: _Optional[float] = ..., repetition_penalty: _Optional[float] = ..., seed: _Optional[int] = ..., logit_bias: _Optional[_Iterable[_Union[LogitBias, _Mapping]]] = ..., logprobs: _Optional[bool] = ..., top_logprobs: _Optional[int] = ..., grammar: _Optional[_Union[Grammar, _Mapping]] = ...) -> None: ...

class Grammar(_message.Message):
    __slots__ = ("text", "ends")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ENDS_FIELD_NUMBER: _ClassVar[int]
    text: str
    ends: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, text: _Optional[str] = ..., ends: _Optional[_Iterable[int]] = ...) -> None: ...

class LogitBias(_message.Message):
    __slots__ = ("token", "bias")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    BIAS_FIELD_NUMBER: _ClassVar[int]
    token: int
    bias: float
    def __init__(self, token: _Optional[int] = ..., bias: _Optional[float] = ...) -> None: ...

class StepResult(_message.Message):
    __slots__ = ("number", "tokens", "compute_microseconds")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_MICROSECONDS_FIELD_NUMBER: _ClassVar[int]
    number: int
    tokens: _containers.RepeatedCompositeFieldContainer[SampledToken]
    compute_microseconds: int
    def __init__(self, number: _Optional[int] = ..., tokens: _Optional[_Iterable[_Union[SampledToken, _Mapping]]] = ..., compute_microseconds: _Optional[int] = ...) -> None: ...

class SampledToken(_message.Message):
    __slots__ = ("sequence", "token", "logprobs", "failed")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    token: int
    logprobs: TokenLogprobs
    failed: bool
    def __init__(self, sequence: _Optional[int] = ..., token: _Optional[int] = ..., logprobs: _Optional[_Union[TokenLogprobs, _Mapping]] = ..., failed: _Optional[bool] = ...) -> None: ...

class TokenLogprobs(_message.Message):
    __slots__ = ("chosen", "tokens", "logprobs")
    CHOSEN_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    chosen: float
    tokens: _containers.RepeatedScalarFieldContainer[int]
    logprobs: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, chosen: _Optional[float] = ..., tokens: _Optional[_Iterable[int]] = ..., logprobs: _Optional[_Iterable[float]] = ...) -> None: ...

class StepFailure(_message.Message):
    __slots__ = ("number", "code", "message")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    number: int
    code: str
    message: str
    def __init__(self, number: _Optional[int] = ..., code: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Pulse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NeighbourSilent(_message.Message):
    __slots__ = ("epoch", "is_next")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    IS_NEXT_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    is_next: bool
    def __init__(self, epoch: _Optional[int] = ..., is_next: _Optional[bool] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("software", "model_id", "revision", "key_provider", "compute", "uptime_seconds", "workers", "hops", "running_sequences", "waiting_sequences", "kv_tokens_used", "kv_tokens_total", "kv_tokens_retained")
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    KEY_PROVIDER_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_FIELD_NUMBER: _ClassVar[int]
    UPTIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    HOPS_FIELD_NUMBER: _ClassVar[int]
    RUNNING_SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    WAITING_SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    KV_TOKENS_USED_FIELD_NUMBER: _ClassVar[int]
    KV_TOKENS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    KV_TOKENS_RETAINED_FIELD_NUMBER: _ClassVar[int]
    software: str
    model_id: str
    revision: str
    key_provider: str
    compute: str
    uptime_seconds: int
    workers: _containers.RepeatedCompositeFieldContainer[WorkerStatus]
    hops: _containers.RepeatedCompositeFieldContainer[HopStatus]
    running_sequences: int
    waiting_sequences: int
    kv_tokens_used: int
    kv_tokens_total: int
    kv_tokens_retained: int
    def __init__(self, software: _Optional[str] = ..., model_id: _Optional[str] = ..., revision: _Optional[str] = ..., key_provider: _Optional[str] = ..., compute: _Optional[str] = ..., uptime_seconds: _Optional[int] = ..., workers: _Optional[_Iterable[_Union[WorkerStatus, _Mapping]]] = ..., hops: _Optional[_Iterable[_Union[HopStatus, _Mapping]]] = ..., running_sequences: _Optional[int] = ..., waiting_sequences: _Optional[int] = ..., kv_tokens_used: _Optional[int] = ..., kv_tokens_total: _Optional[int] = ..., kv_tokens_retained: _Optional[int] = ...) -> None: ...

class WorkerStatus(_message.Message):
    __slots__ = ("name", "address", "state", "evidence", "run_id", "slices", "sealed_bytes", "weight_bytes", "kv_bytes", "locked_bytes", "resident_bytes", "sent_bytes", "refused_tickets", "is_spare")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    SLICES_FIELD_NUMBER: _ClassVar[int]
    SEALED_BYTES_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_BYTES_FIELD_NUMBER: _ClassVar[int]
    KV_BYTES_FIELD_NUMBER: _ClassVar[int]
    LOCKED_BYTES_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    SENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    REFUSED_TICKETS_FIELD_NUMBER: _ClassVar[int]
    IS_SPARE_FIELD_NUMBER: _ClassVar[int]
    name: str
    address: str
    state: WorkerState
    evidence: str
    run_id: str
    slices: _containers.RepeatedCompositeFieldContainer[SliceStatus]
    sealed_bytes: int
    weight_bytes: int
    kv_bytes: int
    locked_bytes: int
    resident_bytes: int
    sent_bytes: int
    refused_tickets: int
    is_spare: bool
    def __init__(self, name: _Optional[str] = ..., address: _Optional[str] = ..., state: _Optional[_Union[WorkerState, str]] = ..., evidence: _Optional[str] = ..., run_id: _Optional[str] = ..., slices: _Optional[_Iterable[_Union[SliceStatus, _Mapping]]] = ..., sealed_bytes: _Optional[int] = ..., weight_bytes: _Optional[int] = ..., kv_bytes: _Optional[int] = ..., locked_bytes: _Optional[int] = ..., resident_bytes: _Optional[int] = ..., sent_bytes: _Optional[int] = ..., refused_tickets: _Optional[int] = ..., is_spare: _Optional[bool] = ...) -> None: ...

class SliceStatus(_message.Message):
    __slots__ = ("slice_id", "digest", "sealed_bytes")
    SLICE_ID_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SEALED_BYTES_FIELD_NUMBER: _ClassVar[int]
    slice_id: str
    digest: str
    sealed_bytes: int
    def __init__(self, slice_id: _Optional[str] = ..., digest: _Optional[str] = ..., sealed_bytes: _Optional[int] = ...) -> None: ...

class HopStatus(_message.Message):
    __slots__ = ("origin", "target", "session")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    origin: str
    target: str
    session: Session
    def __init__(self, origin: _Optional[str] = ..., target: _Optional[str] = ..., session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class Revoke(_message.Message):
    __slots__ = ("subject", "reason")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    subject: str
    reason: str
    def __init__(self, subject: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ProposeChange(_message.Message):
    __slots__ = ("kind", "subject", "content")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    subject: str
    content: bytes
    def __init__(self, kind: _Optional[str] = ..., subject: _Optional[str] = ..., content: _Optional[bytes] = ...) -> None: ...

class ApproveChange(_message.Message):
    __slots__ = ("change",)
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    change: str
    def __init__(self, change: _Optional[str] = ...) -> None: ...

class WithdrawChange(_message.Message):
    __slots__ = ("change",)
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    change: str
    def __init__(self, change: _Optional[str] = ...) -> None: ...

class ShowChange(_message.Message):
    __slots__ = ("change",)
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    change: str
    def __init__(self, change: _Optional[str] = ...) -> None: ...

class ChangeShown(_message.Message):
    __slots__ = ("kind", "subject", "content", "proposer", "proposed")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    PROPOSER_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_FIELD_NUMBER: _ClassVar[int]
    kind: str
    subject: str
    content: bytes
    proposer: str
    proposed: int
    def __init__(self, kind: _Optional[str] = ..., subject: _Optional[str] = ..., content: _Optional[bytes] = ..., proposer: _Optional[str] = ..., proposed: _Optional[int] = ...) -> None: ...

class ListChanges(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class OpenChange(_message.Message):
    __slots__ = ("change", "kind", "subject", "proposer", "expires")
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    PROPOSER_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    change: str
    kind: str
    subject: str
    proposer: str
    expires: int
    def __init__(self, change: _Optional[str] = ..., kind: _Optional[str] = ..., subject: _Optional[str] = ..., proposer: _Optional[str] = ..., expires: _Optional[int] = ...) -> None: ...

class ChangesListed(_message.Message):
    __slots__ = ("changes",)
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[OpenChange]
    def __init__(self, changes: _Optional[_Iterable[_Union[OpenChange, _Mapping]]] = ...) -> None: ...

class Done(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class AttestNode(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DrainWorker(_message.Message):
    __slots__ = ("name", "back")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BACK_FIELD_NUMBER: _ClassVar[int]
    name: str
    back: bool
    def __init__(self, name: _Optional[str] = ..., back: _Optional[bool] = ...) -> None: ...

class Replan(_message.Message):
    __slots__ = ("only_show",)
    ONLY_SHOW_FIELD_NUMBER: _ClassVar[int]
    only_show: bool
    def __init__(self, only_show: _Optional[bool] = ...) -> None: ...

class PlannedWorker(_message.Message):
    __slots__ = ("name", "run_id", "busy_nanoseconds")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    BUSY_NANOSECONDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    run_id: str
    busy_nanoseconds: int
    def __init__(self, name: _Optional[str] = ..., run_id: _Optional[str] = ..., busy_nanoseconds: _Optional[int] = ...) -> None: ...

class Replanned(_message.Message):
    __slots__ = ("rows", "old", "new", "moved", "load_milliseconds", "hold_milliseconds", "unmeasured")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    OLD_FIELD_NUMBER: _ClassVar[int]
    NEW_FIELD_NUMBER: _ClassVar[int]
    MOVED_FIELD_NUMBER: _ClassVar[int]
    LOAD_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    HOLD_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    UNMEASURED_FIELD_NUMBER: _ClassVar[int]
    rows: int
    old: _containers.RepeatedCompositeFieldContainer[PlannedWorker]
    new: _containers.RepeatedCompositeFieldContainer[PlannedWorker]
    moved: bool
    load_milliseconds: int
    hold_milliseconds: int
    unmeasured: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, rows: _Optional[int] = ..., old: _Optional[_Iterable[_Union[PlannedWorker, _Mapping]]] = ..., new: _Optional[_Iterable[_Union[PlannedWorker, _Mapping]]] = ..., moved: _Optional[bool] = ..., load_milliseconds: _Optional[int] = ..., hold_milliseconds: _Optional[int] = ..., unmeasured: _Optional[_Iterable[str]] = ...) -> None: ...

class NodeVerdict(_message.Message):
    __slots__ = ("name", "evidence", "accepted", "reasons", "findings", "policy", "tpm", "milliseconds")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    TPM_FIELD_NUMBER: _ClassVar[int]
    MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    evidence: str
    accepted: bool
    reasons: _containers.RepeatedScalarFieldContainer[str]
    findings: _containers.RepeatedScalarFieldContainer[str]
    policy: str
    tpm: str
    milliseconds: int
    def __init__(self, name: _Optional[str] = ..., evidence: _Optional[str] = ..., accepted: _Optional[bool] = ..., reasons: _Optional[_Iterable[str]] = ..., findings: _Optional[_Iterable[str]] = ..., policy: _Optional[str] = ..., tpm: _Optional[str] = ..., milliseconds: _Optional[int] = ...) -> None: ...

class AttestOrder(_message.Message):
    __slots__ = ("nonce", "bank", "pcrs")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    BANK_FIELD_NUMBER: _ClassVar[int]
    PCRS_FIELD_NUMBER: _ClassVar[int]
    nonce: bytes
    bank: str
    pcrs: int
    def __init__(self, nonce: _Optional[bytes] = ..., bank: _Optional[str] = ..., pcrs: _Optional[int] = ...) -> None: ...

class AttestReply(_message.Message):
    __slots__ = ("evidence",)
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    evidence: bytes
    def __init__(self, evidence: _Optional[bytes] = ...) -> None: ...

class EnrolOrder(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TpmKeys(_message.Message):
    __slots__ = ("identity",)
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    identity: bytes
    def __init__(self, identity: _Optional[bytes] = ...) -> None: ...

class CredentialOffer(_message.Message):
    __slots__ = ("id_object", "encrypted_seed")
    ID_OBJECT_FIELD_NUMBER: _ClassVar[int]
    ENCRYPTED_SEED_FIELD_NUMBER: _ClassVar[int]
    id_object: bytes
    encrypted_seed: bytes
    def __init__(self, id_object: _Optional[bytes] = ..., encrypted_seed: _Optional[bytes] = ...) -> None: ...

class CredentialProof(_message.Message):
    __slots__ = ("proof",)
    PROOF_FIELD_NUMBER: _ClassVar[int]
    proof: bytes
    def __init__(self, proof: _Optional[bytes] = ...) -> None: ...
