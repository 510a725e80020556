"""Protects what a quote answers: every field of a challenge changes what the TPM signs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from mohawk.attestation.challenge import Challenge
from mohawk.attestation.reasons import EvidenceError, Reason
from mohawk.errors import UsageError
from mohawk.identity.names import NodeName, Role
from tests.support.endorsements import NOW

CHALLENGE = Challenge(b"n" * 32, b"r" * 32, NodeName("mesh.example", Role.WORKER, "w1"), b"e" * 32, b"m" * 32, NOW)
OTHER: dict[str, Any] = {
    "nonce": b"N" * 32,
    "recipient": b"R" * 32,
    "name": NodeName("mesh.example", Role.WORKER, "w2"),
    "exporter": b"E" * 32,
    "manifest": b"M" * 32,
}


def test_as_the_specification_writes_it() -> None:
    parts = (b"mie-att-1", b"n" * 32, b"r" * 32, b"spiffe://mesh.example/worker/w1", b"e" * 32, b"m" * 32)
    joined = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    assert CHALLENGE.qualifying_data() == sha256(joined).digest()


@pytest.mark.parametrize("name", OTHER)
def test_every_field_counts(name: str) -> None:
    assert replace(CHALLENGE, **{name: OTHER[name]}).qualifying_data() != CHALLENGE.qualifying_data()


@pytest.mark.parametrize("name", ["recipient", "exporter", "manifest"])
@pytest.mark.parametrize("size", [0, 31, 33])
def test_fields_that_are_left_out(name: str, size: int) -> None:
    with pytest.raises(UsageError):
        replace(CHALLENGE, **{name: bytes(size)})


def test_sixty_seconds() -> None:
    for fresh in (timedelta(0), timedelta(seconds=60)):
        CHALLENGE.check_fresh(NOW + fresh)
    for stale in (timedelta(seconds=-1), timedelta(seconds=61)):
        with pytest.raises(EvidenceError) as refusal:
            CHALLENGE.check_fresh(NOW + stale)
        assert refusal.value.reason is Reason.STALE
