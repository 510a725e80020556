"""Judging what a machine measured: its PCR values, its service's code, its event log (docs/spec/attestation.md 6 to 8).

The values here are those that came along with a quote; that they are the quoted ones is `attestation.quote`'s part.
"""

from __future__ import annotations

from mohawk.attestation.code_history import PCR as CODE_PCR
from mohawk.attestation.event_log import MAXIMUM_CONDENSED, parse_event_log
from mohawk.attestation.evidence import TpmEvidence
from mohawk.attestation.policy import TpmRules, is_unmeasured
from mohawk.attestation.quote import Findings
from mohawk.attestation.reasons import EvidenceError, Reason
from mohawk.attestation.structures import Quote


def judge_measurements(findings: Findings, evidence: TpmEvidence, rules: TpmRules, quote: Quote | None) -> None:
    """All checks of sections 6 to 8. They need values of the policy's bank; of another bank nothing is compared."""
    if evidence.bank is not rules.bank:
        return
    values = dict(evidence.values)
    for index in sorted(rules.pcrs.keys() & values.keys()):
        findings.run(_check_value, index, values[index], rules)
    if CODE_PCR in values:
        findings.run(_check_boot, evidence, rules)
        findings.run(_check_replay, evidence, values[CODE_PCR])
    findings.run(evidence.history.check, rules.code)
    findings.run(_check_log, evidence, values, rules)
    if quote is not None:
        findings.run(_check_firmware, quote, rules)


def _check_value(index: int, value: bytes, rules: TpmRules) -> None:
    """Unmeasured first, and whatever the policy says: it cannot allow it, but a hand may have built one (T07)."""
    if is_unmeasured(value):
        raise EvidenceError(
            Reason.PCR_UNMEASURED,
            f"PCR {index} holds nothing: this machine's firmware did not measure its boot",
            hint="switch measured boot on in the firmware, or use another machine",
        )
    if value not in rules.pcrs[index]:
        raise EvidenceError(
            Reason.PCR_VALUE,
            f"PCR {index} has a value that the policy does not allow",
            hint="compare the machine's firmware and boot settings with a good one's; then allow the value, or mend it",
        )


def _check_boot(evidence: TpmEvidence, rules: TpmRules) -> None:
    if evidence.boot not in rules.code_boot:
        raise EvidenceError(
            Reason.CODE_BOOT,
            "PCR 14 was not as the policy expects before our service measured itself",
            hint="restart the machine; if it is so again, something else measures into PCR 14",
        )


def _check_replay(evidence: TpmEvidence, quoted: bytes) -> None:
    if evidence.history.replay(evidence.bank, evidence.boot) != quoted:
        raise EvidenceError(
            Reason.CODE_HISTORY,
            "the history of starts and stops does not lead to PCR 14",
            hint="restart the machine: PCR 14 and the history then begin anew",
        )


def _check_log(evidence: TpmEvidence, values: dict[int, bytes], rules: TpmRules) -> None:
    if not evidence.log:
        if rules.is_log_required:
            raise EvidenceError(Reason.LOG_MISSING, f"an event log is required, and is {evidence.log_absent}")
        return
    replayed = parse_event_log(evidence.log, MAXIMUM_CONDENSED).replay(rules.bank)
    untold = bytes(rules.bank.size)
    for index in sorted(rules.pcrs.keys() & values.keys()):
        if replayed.get(index, untold) != values[index]:
            raise EvidenceError(Reason.LOG, f"an event log that does not lead to the value of PCR {index}")


def _check_firmware(quote: Quote, rules: TpmRules) -> None:
    if rules.firmware and quote.firmware not in rules.firmware:
        raise EvidenceError(
            Reason.FIRMWARE,
            "a TPM with firmware that the policy does not allow",
            hint="update the TPM's firmware, or allow this version",
        )
