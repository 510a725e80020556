"""Protects what nodes show: one spelling, within a frame, and classes that cannot be talked up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mohawk.attestation.code_history import MAXIMUM_DIGESTS, MAXIMUM_EVENTS, CodeEvent, CodeHistory
from mohawk.attestation.event_log import MAXIMUM_CONDENSED
from mohawk.attestation.evidence import (
    MAXIMUM_EVIDENCE,
    EvidenceClass,
    SoftwareEvidence,
    TpmEvidence,
    parse_evidence,
)
from mohawk.attestation.reasons import EvidenceError
from mohawk.attestation.structures import MAXIMUM_STRUCTURE
from mohawk.contract.evidence import SOFTWARE
from mohawk.crypto.tpm_primitives import TpmHash
from tests.support.attestation_samples import evidence


def test_software_is_the_contracts_software() -> None:
    assert SoftwareEvidence().digest() == SOFTWARE
    assert parse_evidence(SoftwareEvidence().encode()) == SoftwareEvidence()


def test_round_trip() -> None:
    assert parse_evidence(evidence().encode()) == evidence()
    assert evidence().digest() != replace(evidence(), signature=b"x").digest()


def test_the_order_of_classes() -> None:
    assert EvidenceClass.SOFTWARE < EvidenceClass.TPM < EvidenceClass.TEE
    assert [one.word for one in EvidenceClass] == ["software", "tpm", "tee"]


def test_the_largest_evidence_fits() -> None:
    """Each part at its limit: a node never builds evidence that it cannot send."""
    digests = [number.to_bytes(32, "big") for number in range(MAXIMUM_DIGESTS)]
    events = tuple(CodeEvent(digests[number % MAXIMUM_DIGESTS]) for number in range(MAXIMUM_EVENTS))
    largest = TpmEvidence(
        quote=bytes(MAXIMUM_STRUCTURE),
        signature=bytes(MAXIMUM_STRUCTURE),
        bank=TpmHash.SHA384,
        values=tuple((index, bytes(48)) for index in range(24)),
        boot=bytes(48),
        history=CodeHistory(events),
        log=bytes(MAXIMUM_CONDENSED),
        log_absent="",
    )
    assert len(largest.encode()) <= MAXIMUM_EVIDENCE
    assert parse_evidence(largest.encode()) == largest


@pytest.mark.parametrize(
    "changed",
    [
        {"values": ((7, bytes(32)), (0, bytes(32)))},
        {"values": ((0, bytes(32)), (0, bytes(32)))},
        {"values": ((0, bytes(48)),)},
        {"values": ((24, bytes(32)),)},
        {"boot": bytes(48)},
        {"boot": b""},
        {"log": b""},
        {"log_absent": "unavailable"},
        {"log": b"", "log_absent": "because"},
    ],
    ids=str,
)
def test_parts_that_do_not_fit_together(changed: dict[str, object]) -> None:
    with pytest.raises(EvidenceError):
        replace(evidence(), **changed)


def test_too_large() -> None:
    with pytest.raises(EvidenceError, match="48 KiB"):
        parse_evidence(b"tpm/1\n" + b" " * MAXIMUM_EVIDENCE)
