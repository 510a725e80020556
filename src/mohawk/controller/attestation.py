"""Asking workers what their machines are, and what follows from the answers: a key, or the end
(docs/spec/attestation.md 2 to 10).

Rules, and the attack each stops:
- No approval, no key: an answer that is late, broken or missing is a refusal, as is a policy that cannot be read (T15).
- A nonce is used once, across restarts (T01, T12's kin): the guard notes it before the answer is looked at.
- Enrolment asks for the one TPM that an operator named, by token or command: who comes first is not who comes right.
- A worker whose machine no longer shows what it must is denied, at once: its connections end, its process too (T17).
- Refusing waits for no disk: what a full audit log must stop is releasing a key, not taking trust back (N04).
- A key that was released to a TPM asks for one for as long as it is held, also where the policy takes less (T19).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from mohawk.attestation.appraisal import Approval, Verdict, appraise
from mohawk.attestation.challenge import LIFETIME, Challenge
from mohawk.attestation.enrolment import Enrolment, offer_enrolment, parse_identity
from mohawk.attestation.evidence import EvidenceClass, SoftwareEvidence, parse_evidence
from mohawk.attestation.policy import Policy, TpmRules
from mohawk.attestation.quote import Finding
from mohawk.attestation.reasons import AttestationRefusedError, EvidenceError, Reason
from mohawk.audit.events import MAXIMUM_TEXT, AuditEvent, EventKind, RecordEvent
from mohawk.channel.nonces import NonceGuard, NonceRefusedError
from mohawk.contract.attesting import (
    AttestOrder,
    AttestReply,
    CredentialOffer,
    CredentialProof,
    EnrolOrder,
    TpmKeys,
)
from mohawk.contract.evidence import EXPORTER_CONTEXT, EXPORTER_SIZE
from mohawk.crypto.primitives import random_bytes, sha256
from mohawk.errors import HostError, MohawkError, PolicyError, UnavailableError
from mohawk.host.enrolments import Enrolments
from mohawk.host.join_book import JoinBook
from mohawk.host.release_policy import ReleasePolicy
from mohawk.identity.names import NodeName
from mohawk.transport.link import Link

log = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
"""A discrete TPM quotes in half a second."""


_NOT_ENROLLED = Finding(
    Reason.NOT_ENROLLED,
    "no TPM is enrolled for this worker, and no operator named one",
    "read its hash there with `mohawk attest show`, then `mohawk attest enroll NAME --ek-hash HASH` here",
)
_LESS = Finding(
    Reason.CLASS,
    "less than this worker showed when it got its key",
    "look at that machine: its service was started without its TPM, or somebody answers in its place",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A verdict, and how long it took to come by, from the challenge on."""

    verdict: Verdict
    milliseconds: int


class Attestation:
    """Used from the controller's event loop."""

    def __init__(
        self,
        policy: ReleasePolicy,
        enrolments: Enrolments,
        joined: JoinBook,
        nonces: NonceGuard,
        record: RecordEvent,
    ) -> None:
        self._policy = policy
        self._enrolments = enrolments
        self._joined = joined
        self._nonces = nonces
        self._record = record

    async def approve(self, link: Link, public_key: bytes, manifest: bytes) -> Approval:
        """Permission to seal a key to `public_key` (HPKE) for the worker on `link`. `manifest`: its digest.

        Raises AttestationRefusedError with all reasons, EvidenceError, PolicyError, HostError, UnavailableError.
        """
        asked = await self.ask(link, sha256(public_key), manifest)
        return asked.verdict.require()

    def check(self, approval: Approval, name: NodeName, public_key: bytes) -> None:
        """At the moment of release: the approval is still for this node, key and enrolment. Raises
        AttestationRefusedError.
        """
        approval.check(name, public_key, self._enrolments.find(name), datetime.now(UTC))

    def check_policy(self) -> None:
        """Raises what reading the policy raises: for as long as it does, nobody can be judged."""
        self._policy.read()

    async def ask(
        self, link: Link, recipient: bytes, manifest: bytes, at_least: EvidenceClass = EvidenceClass.SOFTWARE
    ) -> Asked:
        """What the worker on `link` shows now. `recipient`: SHA-256 of its HPKE key; `at_least`: what it showed before.
        Raises like `approve`, except that a refusal is the verdict's to say.
        """
        begin = time.perf_counter()
        try:
            verdict = await self._judge(link, recipient, manifest, at_least)
        except MohawkError as error:
            self._record_refusal(link.peer.name, {"reasons": reasons_of(error)})
            raise
        return Asked(verdict, int((time.perf_counter() - begin) * 1000))

    async def _judge(self, link: Link, recipient: bytes, manifest: bytes, at_least: EvidenceClass) -> Verdict:
        policy, name = self._policy.read(), link.peer.name
        record = self._enrolments.find(name)
        if policy.tpm is not None and record is None and (expected := self._expected(name)):
            record = await self._enrol(link, policy.tpm, expected)
        verdict = await self._appraise(link, policy, record, recipient, manifest)
        if policy.tpm is not None and record is not None and verdict.evidence_class < at_least:
            verdict = replace(verdict, findings=(*verdict.findings, _LESS))
        if verdict.record is not None:  # it showed more than a certificate, and nothing speaks against it
            self._enrolments.advance(verdict.record)
            self._record(AuditEvent(EventKind.ATTESTED, str(name), _describe(verdict)))
        if verdict.findings:
            reasons = {"reasons": " ".join(verdict.reasons)[:MAXIMUM_TEXT]}
            self._record_refusal(name, _describe(verdict) | reasons)
        return verdict

    def _record_refusal(self, name: NodeName, details: dict[str, str]) -> None:
        try:
            self._record(AuditEvent(EventKind.ATTESTATION_FAILED, str(name), details))
        except HostError as error:
            log.error("that %s was refused is not in the audit log: %s", name, error.message)

    async def _appraise(
        self, link: Link, policy: Policy, record: Enrolment | None, recipient: bytes, manifest: bytes
    ) -> Verdict:
        exporter = link.session.exporter(EXPORTER_CONTEXT, EXPORTER_SIZE)
        challenge = Challenge(random_bytes(32), recipient, link.peer.name, exporter, manifest, datetime.now(UTC))
        if policy.tpm is None or record is None:  # there is nothing that its answer could be held against
            verdict = appraise(policy, SoftwareEvidence(), None, challenge, challenge.issued)
            return replace(verdict, findings=(_NOT_ENROLLED, *verdict.findings)) if verdict.findings else verdict
        pcrs = sum(1 << index for index in policy.tpm.selection)
        order = AttestOrder(challenge.nonce, policy.tpm.bank.name.lower(), pcrs)
        answer = await link.request(order, AttestReply, ANSWER_SECONDS)
        now = datetime.now(UTC)
        self._nonces.use(str(link.peer.name), challenge.nonce, challenge.issued, now, LIFETIME)
        return appraise(policy, parse_evidence(answer.evidence), record, challenge, now)

    def _expected(self, name: NodeName) -> str | None:
        """The endorsement key's hash that an operator gave for this node: by command, or with its join token."""
        by_token = (node.ek_hash for node in self._joined.nodes() if node.name == name and node.ek_hash)
        return self._enrolments.expected(name) or next(by_token, None)

    async def _enrol(self, link: Link, rules: TpmRules, expected: str) -> Enrolment:
        name = link.peer.name
        keys = await link.request(EnrolOrder(), TpmKeys, ANSWER_SECONDS)
        identity = parse_identity(keys.identity)
        if identity.ek_hash != expected:
            raise EvidenceError(
                Reason.ENDORSEMENT_KEY,
                "the worker's TPM is not the one that an operator named for it",
                hint="compare with `mohawk attest show` on that machine",
            )
        offer = offer_enrolment(name, identity, rules.roots, random_bytes(32), datetime.now(UTC))
        order = CredentialOffer(offer.credential.id_object, offer.credential.encrypted_seed)
        answer = await link.request(order, CredentialProof, ANSWER_SECONDS)
        exporter = link.session.exporter(EXPORTER_CONTEXT, EXPORTER_SIZE)
        record = offer.complete(answer.proof, exporter, datetime.now(UTC))
        self._record(AuditEvent(EventKind.NODE_ENROLLED, str(name), {"tpm": record.ek_hash}))
        self._enrolments.add(record)
        return record


def reasons_of(error: MohawkError) -> str:
    """Why an attestation failed, in stable words."""
    if isinstance(error, AttestationRefusedError):
        return " ".join(error.reasons)
    if isinstance(error, EvidenceError):
        return error.reason
    return error.code


def is_final(error: MohawkError) -> bool:
    """Whether a failed question says something of the worker's machine; otherwise asking again may help."""
    return not isinstance(error, UnavailableError) or isinstance(error, PolicyError)


def is_ours(error: MohawkError) -> bool:
    """Whether asking failed on our side, a full disk or a clock that was set: nothing was learnt of the worker then."""
    return isinstance(error, (HostError, NonceRefusedError))


def _describe(verdict: Verdict) -> dict[str, str]:
    return {
        "class": verdict.evidence_class.word,
        "evidence": verdict.evidence.hex(),
        "policy": verdict.policy.hex(),
    }
