"""Who may say what to whom, about what: one table, sender x receiver x message -> scope. What is not in it is denied
(docs/spec/access.md).

Attacks this stops: a worker that acts as a controller (H13) or asks an operator's question (Z03), a client on a
worker's port (Z01), an auditor that changes what it audits; and a message that somebody adds to the contract one day
without saying who may send it.

`Scope.OWN` is the part that a table cannot hold: whoever acts on the message compares it with the plan, the route or
the connection (Z02), and tests hold them to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from mohawk.contract import attesting as a
from mohawk.contract import messages as m
from mohawk.contract import operating as o
from mohawk.contract import probing as p
from mohawk.contract import trust as t
from mohawk.contract.admission import messages_from_dialler
from mohawk.contract.messages import Purpose
from mohawk.contract.steps import NeighbourSilent, Pulse, Step, StepFailure, StepResult
from mohawk.errors import PolicyError
from mohawk.identity.names import Role


class Scope(StrEnum):
    """Which objects a permission covers."""

    ANY = "any"
    OWN = "own"
    """What the plan, the route, the connection or the change gives the sender: its slice, its place in the chain, its
    name, somebody else's proposal.
    """


class AccessRefusedError(PolicyError):
    """A peer that may not say this here."""

    code = "access_refused"


GREETINGS = frozenset({m.Hello, m.Welcome, m.Failure})
"""Of every connection, whoever opens it; who may open which is `check_opening`'s."""


class Parties(NamedTuple):
    """Who speaks to whom."""

    sender: Role
    receiver: Role


_ANY = Scope.ANY
_OWN = Scope.OWN

ACCESS: Mapping[Parties, Mapping[type, Scope]] = MappingProxyType(
    {
        Parties(Role.CONTROLLER, Role.WORKER): MappingProxyType(
            {
                m.Heartbeat: _ANY,
                p.ProbeStage: _ANY,
                p.ProbeLink: _ANY,
                m.LoadStage: _ANY,
                a.AttestOrder: _ANY,
                a.EnrolOrder: _ANY,
                a.CredentialOffer: _ANY,
                m.KeyGrant: _ANY,
                m.Route: _ANY,
                t.TrustUpdate: _ANY,
                t.RenewalGrant: _ANY,
                m.OfferSlice: _ANY,
                m.OfferTokenizer: _ANY,
                m.SliceChunk: _ANY,
                Step: _OWN,  # of the route that names it as the first stage's predecessor
            }
        ),
        Parties(Role.WORKER, Role.WORKER): MappingProxyType(
            {
                Step: _OWN,  # from the predecessor that the controller's route names
                Pulse: _ANY,
            }
        ),
        Parties(Role.WORKER, Role.CONTROLLER): MappingProxyType(
            {
                m.HeartbeatReply: _ANY,
                p.StageProbed: _OWN,
                p.LinkProbed: _ANY,
                m.KeyRequest: _OWN,  # the slices that the plan gives it
                a.AttestReply: _OWN,  # of its own machine, over this connection
                a.TpmKeys: _OWN,
                a.CredentialProof: _OWN,
                m.StageReady: _OWN,
                m.RouteReady: _OWN,
                t.TrustAccepted: _ANY,
                t.RenewalRequest: _OWN,  # under the name that its connection showed
                m.SliceOffset: _OWN,
                m.SliceStored: _OWN,
                StepResult: _OWN,  # from the last stage
                StepFailure: _ANY,
                NeighbourSilent: _OWN,  # of its two neighbours in the chain
            }
        ),
        Parties(Role.OPERATOR, Role.CONTROLLER): MappingProxyType(
            {
                m.StatusRequest: _ANY,
                o.AttestNode: _ANY,
                o.DrainWorker: _ANY,
                o.Replan: _ANY,
                o.Revoke: _ANY,
                o.ProposeChange: _ANY,
                o.ApproveChange: _OWN,  # any but those that it proposed itself
                o.WithdrawChange: _ANY,
                o.ShowChange: _ANY,
                o.ListChanges: _ANY,
            }
        ),
        Parties(Role.AUDITOR, Role.CONTROLLER): MappingProxyType(
            {m.StatusRequest: _ANY, o.AttestNode: _ANY, o.ShowChange: _ANY, o.ListChanges: _ANY}
        ),
        Parties(Role.CONTROLLER, Role.OPERATOR): MappingProxyType(
            {
                m.StatusReply: _ANY,
                o.NodeVerdict: _ANY,
                o.ChangeShown: _ANY,
                o.ChangesListed: _ANY,
                o.Done: _ANY,
                o.Replanned: _ANY,
            }
        ),
        Parties(Role.CONTROLLER, Role.AUDITOR): MappingProxyType(
            {m.StatusReply: _ANY, o.NodeVerdict: _ANY, o.ChangeShown: _ANY, o.ChangesListed: _ANY}
        ),
    }
)
"""Clients have no rows: they speak HTTP, and no node listens to them."""


def check_access(sender: Role, receiver: Role, message: type) -> Scope:
    """About which objects `sender` may say this to `receiver`. Raises AccessRefusedError."""
    if message in GREETINGS:
        return Scope.ANY
    scope = ACCESS.get(Parties(sender, receiver), {}).get(message)
    if scope is None:
        raise AccessRefusedError(f"the role {sender} may not ask for this", hint="see docs/spec/access.md")
    return scope


def check_opening(sender: Role, receiver: Role, purpose: Purpose) -> None:
    """A connection of this purpose is for those who may say anything on it. Raises AccessRefusedError."""
    if not messages_from_dialler(purpose) & ACCESS.get(Parties(sender, receiver), {}).keys():
        raise AccessRefusedError(f"the role {sender} may not connect for this", hint="see docs/spec/access.md")
