"""What operators and auditors say to a controller on port 8004, beside asking for its status (docs/spec/access.md)."""

from __future__ import annotations

from dataclasses import dataclass

from mohawk.contract.checks import check_field, check_text, require
from mohawk.ids import check_digest, check_node_name, parse_slice_id

MAXIMUM_CONTENT = 48 * 1024
"""Bytes that one change brings in: it must fit a frame."""


@dataclass(frozen=True, slots=True)
class Revoke:
    """Deny a node (SPIFFE id) or a certificate (`serial:<hex>`) from now on; one operator is enough."""

    subject: str
    reason: str

    def __post_init__(self) -> None:
        check_text(self.subject, self.reason)


@dataclass(frozen=True, slots=True)
class ProposeChange:
    """What takes two operators. `kind`: `identity.changes.ChangeKind`."""

    kind: str
    subject: str
    content: bytes = b""

    def __post_init__(self) -> None:
        check_text(self.kind, self.subject)
        require(len(self.content) <= MAXIMUM_CONTENT, "a change of more than 48 KiB")


@dataclass(frozen=True, slots=True)
class ApproveChange:
    """By another operator than the one who proposed it. `change`: its id, the SHA-256 over all of it."""

    change: str

    def __post_init__(self) -> None:
        check_field(check_digest, self.change)


@dataclass(frozen=True, slots=True)
class WithdrawChange:
    """Any operator may say no."""

    change: str

    def __post_init__(self) -> None:
        check_field(check_digest, self.change)


@dataclass(frozen=True, slots=True)
class ShowChange:
    """All of one change, to look at before approving it."""

    change: str

    def __post_init__(self) -> None:
        check_field(check_digest, self.change)


@dataclass(frozen=True, slots=True)
class ChangeShown:
    """`identity.changes.Change`, part by part: its id is computed from them. `proposed`: seconds since 1970."""

    kind: str
    subject: str
    content: bytes
    proposer: str
    proposed: int

    def __post_init__(self) -> None:
        check_text(self.kind, self.subject, self.proposer)
        require(len(self.content) <= MAXIMUM_CONTENT, "a change of more than 48 KiB")


@dataclass(frozen=True, slots=True)
class ListChanges:
    pass


@dataclass(frozen=True, slots=True)
class OpenChange:
    """One line of the list. Times in seconds since 1970."""

    change: str
    kind: str
    subject: str
    proposer: str
    expires: int

    def __post_init__(self) -> None:
        check_field(check_digest, self.change)
        check_text(self.kind, self.subject, self.proposer)


@dataclass(frozen=True, slots=True)
class ChangesListed:
    changes: tuple[OpenChange, ...]


@dataclass(frozen=True, slots=True)
class AttestNode:
    """Have this worker (its node name) show its evidence now, and say what was found."""

    name: str

    def __post_init__(self) -> None:
        check_field(check_node_name, self.name)


@dataclass(frozen=True, slots=True)
class DrainWorker:
    """Move this worker's stage to a spare and let it go; `back`: it may stand by again."""

    name: str
    back: bool = False

    def __post_init__(self) -> None:
        check_field(check_node_name, self.name)


@dataclass(frozen=True, slots=True)
class Replan:
    """Measure the workers, and lay the model out anew where that is worth it; `only_show`: say how it would be."""

    only_show: bool = False


@dataclass(frozen=True, slots=True)
class PlannedWorker:
    """One stage of a plan. `busy_nanoseconds`: what a step is expected to take it."""

    name: str
    run_id: str
    busy_nanoseconds: int

    def __post_init__(self) -> None:
        check_field(check_node_name, self.name)
        check_field(parse_slice_id, self.run_id)


@dataclass(frozen=True, slots=True)
class Replanned:
    """The plan that served and the one that serves now (`moved`), or would; the same one where nothing is better.
    Expected times are of steps of `rows` rows. Stages were loaded while the old plan served; then no step could begin
    for `hold_milliseconds`. `unmeasured`: spares that did not let themselves be measured, and were left out.
    """

    rows: int
    old: tuple[PlannedWorker, ...]
    new: tuple[PlannedWorker, ...]
    moved: bool
    load_milliseconds: int
    hold_milliseconds: int
    unmeasured: tuple[str, ...]

    def __post_init__(self) -> None:
        require(bool(self.rows and self.old and self.new), "a plan without stages or rows")
        for name in self.unmeasured:
            check_field(check_node_name, name)


@dataclass(frozen=True, slots=True)
class NodeVerdict:
    """What an appraisal found. `reasons` are stable words, `findings` sentences; `policy` and `tpm` are SHA-256 in
    hexadecimal, the latter of the endorsement key, empty where there is none.
    """

    name: str
    evidence: str
    accepted: bool
    reasons: tuple[str, ...]
    findings: tuple[str, ...]
    policy: str
    tpm: str
    milliseconds: int

    def __post_init__(self) -> None:
        check_text(self.name, self.evidence, self.policy, self.tpm, *self.reasons, *self.findings)


@dataclass(frozen=True, slots=True)
class Done:
    """It was done, and recorded. `text`: in one sentence, what."""

    text: str

    def __post_init__(self) -> None:
        check_text(self.text)


OperatorMessage = (
    ApproveChange
    | AttestNode
    | ChangeShown
    | ChangesListed
    | Done
    | DrainWorker
    | ListChanges
    | NodeVerdict
    | ProposeChange
    | Replan
    | Replanned
    | Revoke
    | ShowChange
    | WithdrawChange
)
"""The part of the closed set in `contract.messages` that only this port carries."""
