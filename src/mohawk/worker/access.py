"""Who may dial a worker, and for what. Everything not in the table is refused before one message of its purpose is
read.

Attacks this stops: a worker that acts as controller (H13), a client's certificate on a worker's port (Z01), a worker
that is not our predecessor in the chain and wants to put a step into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mohawk.contract.messages import Purpose
from mohawk.errors import PolicyError
from mohawk.identity.certificates import PeerIdentity, expect
from mohawk.identity.names import Role

_ALLOWED: Mapping[Purpose, frozenset[Role]] = MappingProxyType(
    {
        Purpose.CONTROL: frozenset({Role.CONTROLLER}),
        Purpose.SLICE: frozenset({Role.CONTROLLER}),
        Purpose.STEP: frozenset({Role.CONTROLLER, Role.WORKER}),
    }
)


def check_purpose(peer: PeerIdentity, purpose: Purpose) -> None:
    """Raises IdentityRefusedError when the peer's role may not use this purpose here."""
    expect(peer, _ALLOWED.get(purpose, frozenset()))


def check_previous(peer: PeerIdentity, previous: str | None) -> None:
    """Raises PolicyError unless `peer` is the one that the controller's route names as our predecessor."""
    if str(peer.name) != previous:
        raise PolicyError("steps from a peer that is not this stage's predecessor")
