"""Judging a TPM's quote: who made it, for which challenge, over which registers (docs/spec/attestation.md 5).

Each check raises EvidenceError with its reason. `Findings` collects them: one is enough to refuse, and an operator who
mends a machine wants to see them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from mohawk.attestation.challenge import Challenge
from mohawk.attestation.enrolment import Enrolment
from mohawk.attestation.evidence import TpmEvidence
from mohawk.attestation.policy import TpmRules
from mohawk.attestation.reasons import EvidenceError, Reason
from mohawk.attestation.structures import Quote, Selection, parse_quote, parse_signature, qualified_name
from mohawk.crypto.primitives import require_equal
from mohawk.crypto.tpm_primitives import TpmPublicKey, TpmSignature, verify_signature
from mohawk.errors import RemoteError

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Finding:
    """A check that failed."""

    reason: Reason
    message: str
    hint: str = ""


@dataclass(slots=True)
class Findings:
    """Runs checks and keeps what they raise."""

    found: list[Finding] = field(default_factory=list)

    def add(self, reason: Reason, message: str, hint: str = "") -> None:
        self.found.append(Finding(reason, message, hint))

    def run(
        self, check: Callable[_Arguments, _Result], *arguments: _Arguments.args, **named: _Arguments.kwargs
    ) -> _Result | None:
        """What `check` returns; None when it failed, and then there is one finding more."""
        try:
            return check(*arguments, **named)
        except EvidenceError as error:
            self.add(error.reason, error.message, error.hint)
            return None


def judge_quote(
    findings: Findings, evidence: TpmEvidence, record: Enrolment, rules: TpmRules, challenge: Challenge
) -> Quote | None:
    """All checks of section 5, in its order. The quote, when it could be read at all."""
    quote = findings.run(parse_quote, evidence.quote)
    findings.run(record.identity.check_keys)
    signature = findings.run(parse_signature, evidence.signature)
    if quote is None:
        return None
    findings.run(_check_signer, quote, record)
    if signature is not None:
        findings.run(_check_signature, record.identity.attestation.key, signature, quote)
    findings.run(_check_challenge, quote, challenge)
    findings.run(_check_selection, quote, evidence, rules)
    if signature is not None:
        findings.run(_check_digest, quote, evidence, signature)
    findings.run(quote.counters.require_not_before, record.counters)
    return quote


def _check_signer(quote: Quote, record: Enrolment) -> None:
    expected = qualified_name(record.identity.endorsement, record.identity.attestation)
    require_equal(
        quote.signer,
        expected,
        EvidenceError(Reason.SIGNER, "a quote by another key, or of another TPM, than the enrolled one"),
    )


def _check_signature(key: TpmPublicKey, signature: TpmSignature, quote: Quote) -> None:
    try:
        verify_signature(key, signature, quote.encoded)
    except RemoteError:
        raise EvidenceError(Reason.SIGNATURE, "a quote that the enrolled attestation key did not sign") from None


def _check_challenge(quote: Quote, challenge: Challenge) -> None:
    require_equal(
        quote.extra,
        challenge.qualifying_data(),
        EvidenceError(Reason.CHALLENGE, "a quote made for another challenge, node, connection or key"),
    )


def _check_selection(quote: Quote, evidence: TpmEvidence, rules: TpmRules) -> None:
    """The bank first: PCRs of another bank may be anything."""
    if evidence.bank is not rules.bank or {one.bank for one in quote.selections} != {int(rules.bank)}:
        raise EvidenceError(Reason.BANK, "a quote of another PCR bank than the policy's, or of several")
    shown = frozenset(index for index, _ in evidence.values)
    if quote.selections != (Selection(int(rules.bank), rules.selection),) or shown != rules.selection:
        raise EvidenceError(Reason.SELECTION, "a quote of fewer, more or other PCRs than the policy's")


def _check_digest(quote: Quote, evidence: TpmEvidence, signature: TpmSignature) -> None:
    joined = b"".join(value for _, value in evidence.values)
    require_equal(
        quote.pcr_digest,
        signature.hash.digest(joined),
        EvidenceError(Reason.PCR_DIGEST, "PCR values that are not those that were quoted"),
    )
