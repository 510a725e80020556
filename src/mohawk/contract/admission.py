"""What may arrive on a connection, and how many bytes may come with it: decided on the header, before the body is
allocated.

One table, purpose x direction -> messages. Anything else is refused by name of our own, so that a worker that speaks
like a controller, or a controller's old message on a slice connection, ends the connection instead of reaching code
that trusted its caller to be someone else.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mohawk.contract import attesting as a
from mohawk.contract import messages as m
from mohawk.contract import operating as o
from mohawk.contract import probing as p
from mohawk.contract import trust as t
from mohawk.contract.codec import decode, decode_part
from mohawk.contract.messages import Message, Purpose
from mohawk.contract.steps import NeighbourSilent, Pulse, StagePart, Step, StepFailure, StepResult
from mohawk.errors import MessageError

_FROM_DIALLER: Mapping[Purpose, frozenset[type]] = MappingProxyType(
    {
        Purpose.CONTROL: frozenset(
            {
                m.Heartbeat,
                p.ProbeStage,
                p.ProbeLink,
                m.LoadStage,
                a.AttestOrder,
                a.EnrolOrder,
                a.CredentialOffer,
                m.KeyGrant,
                m.Route,
                t.TrustUpdate,
                t.RenewalGrant,
            }
        ),
        Purpose.SLICE: frozenset({m.OfferSlice, m.OfferTokenizer, m.SliceChunk}),
        Purpose.STEP: frozenset({Step, Pulse}),
        Purpose.OPERATOR: frozenset(
            {
                m.StatusRequest,
                o.AttestNode,
                o.DrainWorker,
                o.Replan,
                o.Revoke,
                o.ProposeChange,
                o.ApproveChange,
                o.WithdrawChange,
                o.ShowChange,
                o.ListChanges,
            }
        ),
    }
)
_FROM_LISTENER: Mapping[Purpose, frozenset[type]] = MappingProxyType(
    {
        Purpose.CONTROL: frozenset(
            {
                m.HeartbeatReply,
                p.StageProbed,
                p.LinkProbed,
                m.KeyRequest,
                a.AttestReply,
                a.TpmKeys,
                a.CredentialProof,
                m.StageReady,
                m.RouteReady,
                t.TrustAccepted,
                t.RenewalRequest,
                StepResult,
                StepFailure,
                NeighbourSilent,
                m.Failure,
            }
        ),
        Purpose.SLICE: frozenset({m.SliceOffset, m.SliceStored, m.Failure}),
        Purpose.STEP: frozenset({Pulse}),
        Purpose.OPERATOR: frozenset(
            {m.StatusReply, o.NodeVerdict, o.ChangeShown, o.ChangesListed, o.Done, o.Replanned, m.Failure}
        ),
    }
)


def messages_from_dialler(purpose: Purpose) -> frozenset[type]:
    """What a dialler may say on a connection of this purpose, if its role may say it at all (`contract.access`)."""
    return _FROM_DIALLER.get(purpose, frozenset())


def admit_hello(header: bytes, body_length: int) -> m.Hello:
    """The first message that a listener reads. Raises MessageError."""
    message = decode(header)
    if not isinstance(message, m.Hello) or body_length:
        raise MessageError("the first message is not a greeting")
    return message


def admit_welcome(header: bytes, body_length: int) -> m.Welcome | m.Failure:
    """The first message that a dialler reads. Raises MessageError."""
    message = decode(header)
    if not isinstance(message, m.Welcome | m.Failure) or body_length:
        raise MessageError("the answer to a greeting is neither a welcome nor a failure")
    return message


def admit_from_dialler(purpose: Purpose, header: bytes, body_length: int) -> Message:
    """A later message that a listener reads; a Step's body is checked by the stage that knows its width. Raises
    MessageError.
    """
    return _admit(_FROM_DIALLER[purpose], header, body_length)


def admit_from_listener(purpose: Purpose, header: bytes, body_length: int) -> Message:
    """A later message that a dialler reads. Raises MessageError."""
    return _admit(_FROM_LISTENER[purpose], header, body_length)


def admit_part(data: bytes, body_length: int, *, row_bytes: int, is_first: bool, token_budget: int) -> StagePart:
    """This stage's part of a step, as its ticket held it, where the body is exactly the tensor that it implies.

    `row_bytes`: hidden size x element size. Raises MessageError: a length that does not match would be a body of the
    attacker's choice.
    """
    part = decode_part(data)
    if part.rows > token_budget:
        raise MessageError("a step of more rows than the plan's token budget")
    if bool(part.token_ids) != (is_first and part.rows > 0):
        raise MessageError("token ids belong to the first stage, and to no other")
    if body_length != (0 if is_first else part.rows * row_bytes):
        raise MessageError("a step whose tensor has another size than its segments imply")
    return part


def _admit(allowed: frozenset[type], header: bytes, body_length: int) -> Message:
    message = decode(header)
    if type(message) not in allowed:
        raise MessageError("a message that does not belong on this connection")
    if isinstance(message, m.SliceChunk):
        if not 0 < body_length <= m.CHUNK_BYTES:
            raise MessageError("a slice chunk that is empty or larger than 1 MiB")
    elif body_length and not isinstance(message, Step):
        raise MessageError("bytes beside a message that has none")
    return message
