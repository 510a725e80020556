"""R11: a relay hands a stage 2^20 forged records.

Expected: told of at 2^10, once; at 2^20 the key ends, and what comes after that costs no cipher. What is refused by its
number alone never costs one.
Defence: channel/record.py:Opener._count_forgery; removed, a relay has 2^64 guesses at a tag and a core of ours for as
long as it likes.
Defence: channel/record.py:Opener._open (looks at header and number first); removed, replays keep the cipher busy.
Defence: worker/tickets.py:TicketReader._warn; removed, nobody hears that a stage before this one is hostile.
"""

from __future__ import annotations

import logging

import pytest

from mohawk.channel.record import ALARM_AT, CLOSED_AT, Opener
from mohawk.channel.replay import RecordRefusedError
from mohawk.contract.steps import StagePart
from mohawk.crypto.primitives import AeadKey
from mohawk.nouns.segment import Segment
from tests.support.tickets import EXPECTATION, make_ends, make_opener, make_route, make_sealer, with_sequence


class CountingCipher:
    """How often the cipher ran."""

    def __init__(self, inner: AeadKey) -> None:
        self._inner = inner
        self.count = 0

    def open(self, nonce: bytes, sealed: bytes, associated: bytes) -> bytes:
        self.count += 1
        return self._inner.open(nonce, sealed, associated)


def count_cipher(opener: Opener) -> CountingCipher:
    assert opener._key is not None
    counting = CountingCipher(opener._key.cipher)
    opener._key.cipher = counting  # type: ignore[assignment]
    return counting


def refuse(opener: Opener, record: bytes) -> None:
    with pytest.raises(RecordRefusedError):
        opener.open(record, EXPECTATION)


def test_the_key_ends_and_with_it_the_work() -> None:
    sealer, opener = make_sealer(), make_opener()
    cipher = count_cipher(opener)
    honest = sealer.seal(b"honest", EXPECTATION)
    forged = honest[:-1] + bytes([honest[-1] ^ 1])
    for _ in range(3):
        refuse(opener, forged)
    opener.forged = CLOSED_AT - 2  # a million of them would only take longer
    refuse(opener, forged)
    assert opener.open(honest, EXPECTATION) == b"honest", "not one too early"
    refuse(opener, with_sequence(forged, 1))
    assert opener.is_closed
    spent = cipher.count
    assert spent == 6
    for record in (forged, with_sequence(forged, 7), sealer.seal(b"honest", EXPECTATION)):
        refuse(opener, record)
    assert cipher.count == spent
    assert (opener.forged, opener.refused) == (CLOSED_AT, 8)


def test_what_its_number_or_header_refuses_costs_no_cipher() -> None:
    sealer, opener = make_sealer(), make_opener()
    first, second = (sealer.seal(b"honest", EXPECTATION) for _ in range(2))
    opener.open(second, EXPECTATION)
    cipher = count_cipher(opener)
    for record in (first, second, b"", first[:48], b"XX" + second[2:], with_sequence(second, 1 << 48)):
        refuse(opener, record)
    assert (cipher.count, opener.forged, opener.refused) == (0, 0, 6)


def test_a_worker_says_once_that_a_stage_before_it_is_hostile(caplog: pytest.LogCaptureFixture) -> None:
    route, ends = make_route(), make_ends()
    writer, reader = ends.writer(route), ends.reader(route)
    ticket = writer.seal(StagePart((Segment(sequence=1, start=0, count=1, sample=True),)))
    forged = ticket[:-1] + bytes([ticket[-1] ^ 1])
    with caplog.at_level(logging.ERROR):
        for number in range(ALARM_AT + 5):
            assert len(caplog.records) == (number >= ALARM_AT)
            with pytest.raises(RecordRefusedError):
                reader.open(forged, (0, 0, 0), 0)
    assert "hostile" in caplog.text
