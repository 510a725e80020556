"""Protects the records that say which TPM is whose: one each, changed one at a time, never set back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mohawk.attestation.reasons import EvidenceError
from mohawk.attestation.structures import Counters
from mohawk.errors import HostError, NotFoundError, PolicyError
from mohawk.host.enrolments import Enrolments
from mohawk.identity.names import NodeName, Role
from tests.support.audit import Heard
from tests.support.machines import Machine


@pytest.fixture
def enrolments(tmp_path: Path) -> Enrolments:
    return Enrolments(tmp_path / "enrolments")


def test_round_trip(enrolments: Enrolments, machine: Machine, other_machine: Machine, tmp_path: Path) -> None:
    assert enrolments.find(machine.name) is None
    enrolments.add(machine.record)
    enrolments.add(other_machine.record)
    assert enrolments.find(machine.name) == replace(
        machine.record, enrolled=machine.record.enrolled.replace(microsecond=0)
    )
    assert [record.name for record in Enrolments(tmp_path / "enrolments").all()] == [machine.name, other_machine.name]
    assert (tmp_path / "enrolments").stat().st_mode & 0o777 == 0o700
    enrolments.remove(machine.name, Heard().record)
    assert enrolments.find(machine.name) is None
    with pytest.raises(NotFoundError):
        enrolments.remove(machine.name, Heard().record)


def test_one_tpm_one_name(enrolments: Enrolments, machine: Machine, other_machine: Machine) -> None:
    enrolments.add(machine.record)
    for record in (
        machine.record,
        replace(other_machine.record, name=machine.name),
        replace(machine.record, name=other_machine.name),
    ):
        with pytest.raises(PolicyError, match="enrolled with a TPM already"):
            enrolments.add(record)


def test_counters_only_rise(enrolments: Enrolments, machine: Machine) -> None:
    enrolments.add(machine.record)
    enrolments.advance(replace(machine.record, counters=Counters(5, 0, 100)))
    with pytest.raises(EvidenceError, match="behind"):
        enrolments.advance(replace(machine.record, counters=Counters(5, 0, 99)))
    found = enrolments.find(machine.name)
    assert found is not None
    assert found.counters == Counters(5, 0, 100)


def test_a_record_that_is_not_there_is_not_advanced(enrolments: Enrolments, machine: Machine) -> None:
    with pytest.raises(PolicyError, match="changed"):
        enrolments.advance(machine.record)


def test_damaged_and_misplaced_records(enrolments: Enrolments, machine: Machine, tmp_path: Path) -> None:
    enrolments.add(machine.record)
    path = tmp_path / "enrolments" / "worker.w1.json"
    other = NodeName(machine.name.domain, Role.WORKER, "w9")
    path.rename(path.with_name("worker.w9.json"))
    with pytest.raises(HostError, match="another node"):
        enrolments.find(other)
    path.write_bytes(b"{}")
    with pytest.raises(HostError, match="damaged"):
        enrolments.find(machine.name)
