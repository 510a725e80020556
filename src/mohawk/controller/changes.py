"""What operators change in a running cluster: revocations at once, and what takes two of them.

Rules, and the attack each stops:
- Recorded before it is done: an operator whose deed cannot be written down does not do it (N04).
- The name that acts is the one that the connection proved, never one in the message.
- A change leaves the list before it is carried out: it happens once, or not at all.
- What a revoked operator proposed is void: a stolen key that was found is not one of the two (Z07).
- Refused approvals are counted, and what one operator may propose and withdraw is bounded: none fills the log (D15).
- An operator cannot fill the deny-list: the authority's own machine can always deny one more, the operator first (D14).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mohawk.audit.events import AuditEvent, EventKind, NoteEvent, RecordEvent
from mohawk.contract.operating import ApproveChange, ProposeChange, Revoke, WithdrawChange
from mohawk.errors import MohawkError, PolicyError, UsageError
from mohawk.host.change_file import ChangeFile
from mohawk.host.revocations import Revocations
from mohawk.identity import changes
from mohawk.identity.changes import Change, ChangeKind
from mohawk.identity.names import NodeName

ACTS_EVERY = timedelta(hours=1)
MOST_ACTS = 100
"""Proposals and withdrawals of one operator in that time."""
RESERVED = 8 * 1024
"""Bytes of the deny-list that only `mohawk pki revoke`, and the controller itself, may use: some fifty entries."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """How one kind of change is checked when it is proposed, and carried out when it is approved. Both raise
    MohawkError.
    """

    check: Callable[[Change], None]
    carry_out: Callable[[Change], None]


class ChangeDesk:
    """`carriers`: each kind that this controller can carry out. Used from its event loop."""

    def __init__(
        self,
        file: ChangeFile,
        revocations: Revocations,
        carriers: Mapping[ChangeKind, Carrier],
        record: RecordEvent,
        note: NoteEvent,
    ) -> None:
        self._file = file
        self._revocations = revocations
        self._carriers = {ChangeKind.LIFT_REVOCATION: self._lifting(), **carriers}
        self._record = record
        self._note = note
        self._acts: Counter[str] = Counter()
        self._counting_since = datetime.min.replace(tzinfo=UTC)

    def open_changes(self, now: datetime) -> tuple[Change, ...]:
        return changes.open_changes(self._trusted(self._file.read()), now)

    def show(self, change_id: str, now: datetime) -> Change:
        """Raises NotFoundError."""
        return changes.find(self._trusted(self._file.read()), change_id, now)

    def revoke(self, operator: NodeName, order: Revoke, now: datetime) -> str:
        """Raises UsageError: no name or serial, or no room."""
        self._revocations.deny(order.subject, f"{order.reason} (by {operator.name})"[:128], now, RESERVED)
        return f"{order.subject} is revoked; its connections end within seconds"

    def propose(self, operator: NodeName, order: ProposeChange, now: datetime) -> str:
        """Raises UsageError (nothing that can be changed so), PolicyError (too many are open)."""
        if order.kind not in set(ChangeKind) or ChangeKind(order.kind) not in self._carriers:
            raise UsageError("not a change that this controller can carry out", field="kind")
        change = Change(ChangeKind(order.kind), order.subject, order.content, str(operator), now.replace(microsecond=0))
        self._carriers[change.kind].check(change)
        self._count_act(operator, now)
        self._write(EventKind.CHANGE_PROPOSED, operator, change)
        self._file.update(lambda known: (None, changes.propose(known, change, now)))
        return f"proposed as {change.id}; another operator approves it within 24 h"

    def approve(self, operator: NodeName, order: ApproveChange, now: datetime) -> str:
        """Raises NotFoundError, PolicyError (its own proposer), or what carrying it out raises."""
        try:
            changes.approve(self._trusted(self._file.read()), order.change, str(operator), now)
        except MohawkError as error:
            named = {"change": order.change} if isinstance(error, PolicyError) else {}  # what nobody proposed is noise
            self._note(AuditEvent(EventKind.CHANGE_REFUSED, str(operator), named | {"why": error.code}))
            raise
        change = self._file.update(
            lambda known: changes.approve(self._trusted(known), order.change, str(operator), now)
        )
        self._write(EventKind.CHANGE_APPROVED, operator, change)
        self._carriers[change.kind].carry_out(change)
        return f"{change.kind} of {change.subject} is carried out"

    def withdraw(self, operator: NodeName, order: WithdrawChange, now: datetime) -> str:
        """Raises NotFoundError, PolicyError (too many)."""
        self._count_act(operator, now)
        change = self._file.update(lambda known: changes.withdraw(known, order.change, now))
        self._write(EventKind.CHANGE_REFUSED, operator, change)
        return f"{change.kind} of {change.subject} is withdrawn"

    def _count_act(self, operator: NodeName, now: datetime) -> None:
        """Raises PolicyError beyond the bound."""
        if now - self._counting_since > ACTS_EVERY:
            self._acts.clear()
            self._counting_since = now
        self._acts[str(operator)] += 1
        if self._acts[str(operator)] > MOST_ACTS:
            raise PolicyError("too many changes by one operator in an hour", hint="wait, or have another one do it")

    def _trusted(self, known: Sequence[Change]) -> tuple[Change, ...]:
        """Without what operators proposed who are revoked by now."""
        denied = {denial.subject for denial in self._revocations.denials()}
        return tuple(change for change in known if change.proposer not in denied)

    def _write(self, kind: EventKind, operator: NodeName, change: Change) -> None:
        details = {"change": change.id, "kind": change.kind.value, "subject": change.subject[:128]}
        self._record(AuditEvent(kind, str(operator), details | {"proposer": change.proposer}))

    def _lifting(self) -> Carrier:
        return Carrier(self._check_lift, self._lift)

    def _check_lift(self, change: Change) -> None:
        if all(denial.subject != change.subject for denial in self._revocations.denials()):
            raise UsageError("nobody of that name is revoked", hint="see `mohawk pki list`", field="subject")

    def _lift(self, change: Change) -> None:
        self._revocations.lift(change.subject)
        self._record(AuditEvent(EventKind.REVOCATION_LIFTED, change.subject, {"change": change.id}))
