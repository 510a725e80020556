"""The gate before every key: policy, enrolments and attestation of one authority put together, with the watch over
those that passed, and the way in which the policy changes.

What operators and auditors ask about a worker takes a quote, a nonce and a line of the audit log: one question in ten
seconds, so that nobody who may only look keeps the watch from its turn, or has a worker denied for want of nonces.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from mohawk.attestation.challenge import LIFETIME
from mohawk.audit.events import AuditEvent, EventKind, RecordEvent
from mohawk.channel.nonces import nonce_capacity
from mohawk.contract.operating import NodeVerdict
from mohawk.controller.attestation import Attestation
from mohawk.controller.attestation_watch import AttestationWatch, Deny
from mohawk.controller.changes import Carrier
from mohawk.controller.member import Member
from mohawk.errors import NotFoundError, UnavailableError
from mohawk.host.authority import AuthorityFolder
from mohawk.host.enrolments import open_enrolments
from mohawk.host.join_book import JoinBook
from mohawk.host.nonce_file import open_nonce_guard
from mohawk.host.release_policy import ReleasePolicy, parse, require_hardware
from mohawk.identity.changes import Change

PER_MINUTE = 12
"""Challenges of one worker: one a minute, and what operators ask."""
ASK_PAUSE = 10.0
"""Seconds between two questions of operators about one worker."""
_MOST_TEXT = 512


class ReleaseGate:
    """`members`: the workers that serve now; `must_have_hardware`: MIE_TPM_ATTESTATION_REQUIRED."""

    def __init__(
        self,
        authority: AuthorityFolder,
        record: RecordEvent,
        members: Callable[[], Sequence[Member]],
        deny: Deny,
        *,
        must_have_hardware: bool,
    ) -> None:
        self._policy = ReleasePolicy(authority)
        self._enrolments = open_enrolments(authority)
        self._record = record
        self._members = members
        self._asked: dict[str, float] = {}
        self._must_have_hardware = must_have_hardware
        capacity = nonce_capacity(PER_MINUTE, LIFETIME)
        nonces = open_nonce_guard(authority.folder / "attestation.nonces", capacity, datetime.now(UTC))
        self.attestation = Attestation(self._policy, self._enrolments, JoinBook(authority), nonces, record)
        self._watch = AttestationWatch(self.attestation, members, deny)

    def check(self) -> None:
        """Before anything starts: the policy is there, is the approved one, and asks for enough. Raises HostError,
        PolicyError, UsageError.
        """
        policy = self._policy.read()
        if self._must_have_hardware:
            require_hardware(policy)

    def start(self) -> None:
        """Watch over those that have keys."""
        self._watch.start()

    def close(self) -> None:
        self._watch.close()

    async def ask(self, name: str) -> NodeVerdict:
        """What this worker shows now, for an operator. Raises NotFoundError, UnavailableError (asked just
        now), or what asking raises.
        """
        member = next((one for one in self._members() if one.name == name), None)
        if member is None:
            raise NotFoundError("no worker of this name serves here", hint="see `mohawk status`", field="name")
        if time.monotonic() - self._asked.get(name, -math.inf) < ASK_PAUSE:
            raise UnavailableError("this worker was asked just now", hint="ask again in ten seconds")
        self._asked[name] = time.monotonic()
        asked = await member.ask(self.attestation)
        verdict = asked.verdict
        record = await asyncio.to_thread(self._enrolments.find, verdict.name)
        return NodeVerdict(
            name=str(verdict.name),
            evidence=verdict.evidence_class.word,
            accepted=not verdict.findings,
            reasons=tuple(map(str, verdict.reasons)),
            findings=tuple(finding.message[:_MOST_TEXT] for finding in verdict.findings),
            policy=verdict.policy.hex(),
            tpm=record.ek_hash if record is not None else "",
            milliseconds=asked.milliseconds,
        )

    def changing_policy(self) -> Carrier:
        """How two operators change the policy. It counts from the next key on, and from the next look at those that
        have one.
        """
        return Carrier(self._check_change, self._carry_out)

    def _check_change(self, change: Change) -> None:
        policy = parse(change.content)
        if self._must_have_hardware:
            require_hardware(policy)

    def _carry_out(self, change: Change) -> None:
        self._check_change(change)
        digest = parse(change.content).digest().hex()
        self._record(AuditEvent(EventKind.POLICY_CHANGED, change.subject, {"change": change.id, "policy": digest}))
        self._policy.replace(change.content)
