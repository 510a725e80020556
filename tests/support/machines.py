"""Machines that attest: a software TPM each, a node's folder, and what a controller knows of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from mohawk.attestation.appraisal import Verdict, appraise
from mohawk.attestation.challenge import Challenge
from mohawk.attestation.code_history import CodeEvent, CodeHistory
from mohawk.attestation.enrolment import Enrolment, activation_proof, offer_enrolment
from mohawk.attestation.evidence import Evidence, TpmEvidence, parse_evidence
from mohawk.attestation.policy import BOOT_PCRS, Policy, parse_policy
from mohawk.crypto.endorsement import VendorRoots
from mohawk.crypto.primitives import random_bytes
from mohawk.crypto.tpm_primitives import TpmHash
from mohawk.host.attester import Attester
from mohawk.host.tpm import Tpm
from mohawk.host.tpm_keys import load_key, open_endorsement
from mohawk.host.tpm_session import Entity
from mohawk.identity.names import NodeName, Role
from tests.support.boot_log import Recorded, boot, encode
from tests.support.swtpm import Swtpm, Vendor
from tests.support.tls import DOMAIN, utc_now

CODE = sha256(b"mohawk as released").digest()
EXPORTER = b"e" * 32
MANIFEST = sha256(b"manifest").digest()
HPKE_KEY = b"an HPKE public key"


@dataclass
class Machine:
    """A node with a TPM, booted and with its service running."""

    tpm: Swtpm
    folder: Path
    name: NodeName
    record: Enrolment = field(init=False)

    @property
    def attester(self) -> Attester:
        return Attester(self.tpm.path, self.folder, self.folder / "binary_bios_measurements")

    def boot(self, events: Sequence[Recorded] = boot(), code: bytes = CODE) -> None:
        """Restart the machine and its service."""
        self.tpm.boot(events)
        (self.folder / "binary_bios_measurements").write_bytes(encode(events))
        self.attester.begin(code)

    def enrol(self, now: datetime | None = None) -> Enrolment:
        now = now or utc_now()
        roots = VendorRoots.parse(self.tpm.vendor.roots.encode())
        identity = self.attester.identity()
        offer = offer_enrolment(self.name, identity, roots, random_bytes(32), now)
        secret = self.attester.activate(offer.credential)
        self.record = offer.complete(activation_proof(secret, self.name, EXPORTER, identity), EXPORTER, now)
        return self.record

    @contextmanager
    def loaded_key(self, tpm: Tpm) -> Iterator[Entity]:
        """The attestation key, as root on this machine can have it."""
        key = self.attester._read_key()
        with load_key(tpm, open_endorsement(tpm).entity, key.blob, key.auth) as loaded:
            yield loaded

    def challenge(self, **changed: Any) -> Challenge:
        fields: dict[str, Any] = {
            "nonce": random_bytes(32),
            "recipient": sha256(HPKE_KEY).digest(),
            "name": self.name,
            "exporter": EXPORTER,
            "manifest": MANIFEST,
            "issued": utc_now(),
        }
        return Challenge(**(fields | changed))

    def answer(self, challenge: Challenge, policy: Policy) -> TpmEvidence:
        """As it arrives on the other side."""
        assert policy.tpm is not None
        evidence = self.attester.quote(challenge.qualifying_data(), policy.tpm.bank, policy.tpm.selection)
        parsed = parse_evidence(evidence.encode())
        assert parsed == evidence
        return evidence

    def attest(self, policy: Policy) -> Verdict:
        challenge = self.challenge()
        return self.appraise(policy, self.answer(challenge, policy), challenge)

    def appraise(self, policy: Policy, evidence: Evidence, challenge: Challenge) -> Verdict:
        return appraise(policy, evidence, self.record, challenge, utc_now())


def replayed(events: Sequence[Recorded] = boot(), bank: TpmHash = TpmHash.SHA256) -> dict[int, bytes]:
    """What the registers hold after this boot."""
    values: dict[int, bytes] = {}
    for event in events:
        before = values.get(event.pcr, bytes(bank.size))
        values[event.pcr] = bank.digest(before + event.digest(bank))
    return values


def policy_document(vendor_roots: str, **changed: Any) -> dict[str, Any]:
    """What an operator's file says: one good boot, one version of the code. `changed`: fields of `tpm`."""
    values = replayed()
    rules: dict[str, Any] = {
        "bank": "sha256",
        "code": {"allowed": [CODE.hex()], "boot": [bytes(32).hex()]},
        "ek_roots": vendor_roots,
        "event_log": "required",
        "firmware": [],
        "pcrs": [{"allowed": [values[index].hex()], "index": index} for index in sorted(BOOT_PCRS)],
    }
    return {"class": "tpm", "format": "mie-attestation-policy-1", "tpm": rules | changed}


def policy_for(vendor: Vendor, **changed: Any) -> Policy:
    return parse_policy(policy_document(vendor.roots, **changed))


def measured_code(*events: CodeEvent, boot: bytes = bytes(32)) -> bytes:
    """PCR 14 after these events."""
    return CodeHistory(events).replay(TpmHash.SHA256, boot)


@pytest.fixture
def machine(first_tpm: Swtpm, tmp_path: Path) -> Machine:
    return _machine(first_tpm, tmp_path / "w1", "w1")


@pytest.fixture
def other_machine(second_tpm: Swtpm, tmp_path: Path) -> Machine:
    return _machine(second_tpm, tmp_path / "w2", "w2")


@pytest.fixture
def policy(vendor: Vendor) -> Policy:
    return policy_for(vendor)


def _machine(tpm: Swtpm, folder: Path, name: str) -> Machine:
    folder.mkdir(mode=0o700)
    machine = Machine(tpm, folder, NodeName(DOMAIN, Role.WORKER, name))
    machine.boot()
    machine.enrol()
    return machine
