"""Sealed records: what goes in comes out once, at the other end, beside what was expected; and the bytes are those of
docs/spec/tickets.md.
"""

from __future__ import annotations

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from mohawk.channel.record import ALARM_AT, CLOSED_AT, Direction, Expectation
from mohawk.channel.replay import RecordRefusedError, SlidingWindow
from tests.support.tickets import EXPECTATION, PLAN, TRANSCRIPT, export, make_opener, make_sealer


def expand(root: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand of at most one block (RFC 5869 2.3), by hand."""
    return hmac.digest(root, info + b"\1", "sha384")[:length]


@pytest.mark.parametrize("direction", list(Direction))
def test_the_bytes_are_those_of_the_specification(direction: Direction) -> None:
    """Written a second time, from sections 2 and 3 alone."""
    t, epoch = TRANSCRIPT, 7
    texts = [
        b"mie/1",
        *(text.encode() for text in (t.profile, t.controller, t.worker, t.controller_leaf, t.worker_leaf)),
    ]
    th = hashlib.sha384(
        b"".join(len(f).to_bytes(4, "big") + f for f in (*texts, t.plan, t.evidence, t.connection_id))
    ).digest()
    root = hmac.digest(hashlib.sha384(b"mie/1 rec").digest(), export(th), "sha384")
    context = bytes([0, direction]) + epoch.to_bytes(4, "big") + th
    key, iv = expand(root, b"mie/1 key" + context, 32), expand(root, b"mie/1 iv" + context, 12)
    sealer = make_sealer(epoch=epoch, direction=direction)
    for sequence in range(3):
        header = b"MR" + bytes([1, 1, direction]) + epoch.to_bytes(4, "big") + sequence.to_bytes(8, "big")
        header += t.connection_id
        nonce = bytes(a ^ b for a, b in zip(iv, sequence.to_bytes(12, "big"), strict=True))
        sealed = ChaCha20Poly1305(key).encrypt(nonce, b"part", header + EXPECTATION)
        assert sealer.seal(b"part", EXPECTATION) == header + sealed


def test_an_expectation_is_what_must_lie_beside_a_record() -> None:
    encoded = Expectation(PLAN, 3, 5, 4096, 2, 5 * 4096 * 2).encode()
    numbers = b"".join(n.to_bytes(4, "big") for n in (3, 5, 4096)) + b"\2" + (40960).to_bytes(8, "big")
    assert encoded == PLAN + numbers


@pytest.mark.parametrize("size", [0, 1, 1000, 1 << 18])
def test_what_was_sealed_opens_once_at_the_other_end(size: int) -> None:
    sealer, opener = make_sealer(), make_opener()
    for number in range(3):
        plaintext = bytes([number]) * size
        assert opener.open(sealer.seal(plaintext, EXPECTATION), EXPECTATION) == plaintext
    assert (opener.refused, opener.forged) == (0, 0)


def test_a_record_is_bound_to_what_lies_beside_it() -> None:
    record = make_sealer().seal(b"step", EXPECTATION)
    opener = make_opener()
    for other in (b"", EXPECTATION[:-1], EXPECTATION + b"\0", bytes(len(EXPECTATION))):
        with pytest.raises(RecordRefusedError):
            opener.open(record, other)
    assert opener.open(record, EXPECTATION) == b"step"


def test_equal_parts_look_unrelated() -> None:
    sealer = make_sealer()
    bodies = {sealer.seal(bytes(32), EXPECTATION)[33:] for _ in range(100)}
    assert len(bodies) == 100
    assert all(body.count(0) < 16 for body in bodies)


def test_alarm_and_end_come_at_their_numbers() -> None:
    sealer, opener = make_sealer(), make_opener(SlidingWindow())
    forged = bytearray(sealer.seal(b"step", EXPECTATION))
    forged[-1] ^= 1
    for number, expected in (
        (ALARM_AT - 2, (False, False)),
        (ALARM_AT - 1, (True, False)),
        (CLOSED_AT - 2, (True, False)),
        (CLOSED_AT - 1, (True, True)),
    ):
        opener.forged = number
        with pytest.raises(RecordRefusedError):
            opener.open(bytes(forged), EXPECTATION)
        assert (opener.is_alarming, opener.is_closed) == expected
