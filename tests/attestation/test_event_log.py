"""Protects the replay of a boot: the log must lead to what the registers hold, and costs no more than its size."""

from __future__ import annotations

import struct
from hashlib import sha256

import pytest

from mohawk.attestation.event_log import MAXIMUM_CONDENSED, MAXIMUM_LOG, parse_event_log
from mohawk.attestation.reasons import EvidenceError
from mohawk.crypto.tpm_primitives import TpmHash
from tests.support.boot_log import (
    NO_ACTION,
    POST_CODE,
    SHA1,
    SHA256,
    SHA384,
    Recorded,
    boot,
    encode,
    encoded,
    event,
    header,
)
from tests.support.machines import replayed

ONE = Recorded(0, POST_CODE, b"x")


def refused(data: bytes, limit: int = MAXIMUM_LOG) -> None:
    with pytest.raises(EvidenceError):
        parse_event_log(data, limit)


@pytest.mark.parametrize("bank", list(TpmHash), ids=lambda bank: bank.name)
def test_replay(bank: TpmHash) -> None:
    assert parse_event_log(encode(boot()), MAXIMUM_LOG).replay(bank) == replayed(boot(), bank)


def test_a_single_extension_by_hand() -> None:
    value = parse_event_log(encode([ONE]), MAXIMUM_LOG).replay(TpmHash.SHA256)[0]
    assert value == sha256(bytes(32) + sha256(b"x").digest()).digest()


@pytest.mark.parametrize("locality", [3, 4])
def test_startup_locality(locality: int) -> None:
    """Where PCR 0 begins on machines with a hardware root of measurement."""
    log = parse_event_log(encode([ONE], locality=locality), MAXIMUM_LOG)
    begun = bytes(31) + bytes([locality])
    expected = sha256(begun + sha256(b"x").digest()).digest()
    assert log.replay(TpmHash.SHA256)[0] == expected
    condensed = log.condense(TpmHash.SHA256, frozenset({0}))
    assert parse_event_log(condensed.encode(), MAXIMUM_CONDENSED).replay(TpmHash.SHA256)[0] == expected
    assert log.condense(TpmHash.SHA256, frozenset({7})).events == ()


def test_startup_locality_comes_first_or_not_at_all() -> None:
    late = event(0, NO_ACTION, {SHA256: bytes(32)}, b"StartupLocality\0\3")
    log = parse_event_log(encode([ONE], [SHA256]) + late, MAXIMUM_LOG)
    assert log.replay(TpmHash.SHA256)[0] == sha256(bytes(32) + sha256(b"x").digest()).digest()


def test_condensed_holds_no_data_and_one_bank() -> None:
    whole = parse_event_log(encode(boot()), MAXIMUM_LOG)
    condensed = whole.condense(TpmHash.SHA384, frozenset({4, 7}))
    assert condensed.banks == ((SHA384, 48),)
    assert {one.pcr for one in condensed.events} == {4, 7}
    assert all(one.data == b"" for one in condensed.events)
    assert len(condensed.encode()) < len(encode(boot())) / 3


def test_digests_in_any_order() -> None:
    """The profile does not fix it."""
    digests = {one: ONE.digest(one) for one in (SHA384, SHA1, SHA256)}
    log = parse_event_log(header() + event(0, POST_CODE, digests, b""), MAXIMUM_LOG)
    assert log.replay(TpmHash.SHA256) == replayed([ONE])


def test_a_bank_that_the_log_does_not_have() -> None:
    log = parse_event_log(encode([ONE], [SHA1]), MAXIMUM_LOG)
    with pytest.raises(EvidenceError, match="bank"):
        log.replay(TpmHash.SHA256)
    with pytest.raises(EvidenceError, match="bank"):
        log.condense(TpmHash.SHA256, frozenset({0}))


def test_events_without_a_bank_or_with_a_strange_one() -> None:
    for digests in (
        {SHA256: bytes(32)},
        {SHA1: bytes(20), SHA256: bytes(32), SHA384: bytes(48), 0x12: bytes(32)},
        {SHA1: bytes(20), SHA256: bytes(32), 0x12: bytes(48)},
        {},
    ):
        refused(header() + event(0, POST_CODE, digests, b""))
    twice = struct.pack("<III", 0, POST_CODE, 3) + 3 * (struct.pack("<H", SHA256) + bytes(32)) + bytes(4)
    refused(header() + twice)


def test_headers_that_are_none() -> None:
    good = header()
    for at in (0, 4, 8, 32):
        refused(good[:at] + b"\xff" + good[at + 1 :])
    refused(header([]))
    refused(header([SHA256, SHA256]))
    assert parse_event_log(header(), MAXIMUM_LOG).events == ()


@pytest.mark.parametrize("size", [0, 20, 31, 33, 64, 65, 0xFFFF])
def test_digests_of_the_wrong_size(size: int) -> None:
    good = header([SHA256])
    refused(good.replace(struct.pack("<HH", SHA256, 32), struct.pack("<HH", SHA256, size)))


def test_bounds() -> None:
    refused(encode(boot()), limit=100)
    one = b"".join(encoded([ONE], [SHA256]))
    assert len(parse_event_log(header([SHA256]) + one * 8192, MAXIMUM_LOG).events) == 8192
    refused(header([SHA256]) + one * 8193)
    for count in (0xFFFFFFFF, 1 << 20):
        refused(header() + struct.pack("<III", 0, POST_CODE, count))
        refused(header([SHA256]) + one[:-5] + struct.pack("<I", count))
    refused(header([SHA256]) + event(24, POST_CODE, {SHA256: bytes(32)}, b""))


def test_no_action_may_speak_of_no_register() -> None:
    """Firmware writes some of these with the PCR index 0xffffffff; they are not extended."""
    nothing = event(0xFFFFFFFF, NO_ACTION, {SHA256: bytes(32)}, b"SP800-155 Event\0")
    assert parse_event_log(header([SHA256]) + nothing, MAXIMUM_LOG).replay(TpmHash.SHA256) == {}
