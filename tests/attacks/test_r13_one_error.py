"""R13: a relay tries a bad tag, a bad epoch, a bad header, an old number and a key that has ended, to learn from the answers
which of its guesses came closest.

Expected: the same error for all of them, and from a worker no answer at all: the connection stays, nothing comes back,
the step ends by its deadline. What a refusal costs differs by a few microseconds (some never reach the cipher), which
nothing outside the worker can see.
Defence: channel/replay.py:refused (the one error) and worker/chain.py:Chain._admit (a refused step is dropped, unlike any
other MessageError); removed, a relay finds out how far a forgery got, or has an honest stage's connection cut.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mohawk.channel.record import CLOSED_AT, Opener
from mohawk.channel.replay import RecordRefusedError
from mohawk.contract.steps import Opening, StagePart, Step, StepResult
from mohawk.nouns.segment import Segment
from tests.e2e.inside import GREEDY
from tests.support.nodes import run
from tests.support.stage import ROW, second_stage
from tests.support.tickets import EXPECTATION, make_opener, make_sealer, make_step, with_sequence

EPOCH_AT = 5


def guesses(genuine: bytes, used: bytes) -> dict[str, bytes]:
    """What a relay makes of a genuine record and one that was accepted already."""
    return {
        "tag": genuine[:-1] + bytes([genuine[-1] ^ 1]),
        "body": genuine[:40] + bytes([genuine[40] ^ 1]) + genuine[41:],
        "epoch": genuine[:EPOCH_AT] + bytes([genuine[EPOCH_AT] ^ 1]) + genuine[EPOCH_AT + 1 :],
        "magic": b"XX" + genuine[2:],
        "version": genuine[:2] + b"\2" + genuine[3:],
        "connection": genuine[:17] + bytes(16) + genuine[33:],
        "number": with_sequence(genuine, 99),
        "used": used,
        "short": genuine[:48],
        "empty": b"",
    }


def refusal(opener: Opener, record: bytes) -> tuple[object, ...]:
    """All that a caller can tell of it."""
    with pytest.raises(RecordRefusedError) as caught:
        opener.open(record, EXPECTATION)
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    return type(error), error.args, error.message, error.hint, error.field, error.code


def test_one_error_for_every_cause() -> None:
    sealer, opener = make_sealer(), make_opener()
    used, genuine = (sealer.seal(b"part of a step", EXPECTATION) for _ in range(2))
    opener.open(used, EXPECTATION)
    found = {refusal(opener, record) for record in guesses(genuine, used).values()}
    opener.open(genuine, EXPECTATION)
    opener.forged = CLOSED_AT - 1
    found |= {refusal(opener, with_sequence(genuine, 5)), refusal(opener, sealer.seal(b"", EXPECTATION))}
    assert opener.is_closed
    assert len(found) == 1


def test_a_worker_answers_none_of_them(tmp_path: Path) -> None:
    part = StagePart((Segment(sequence=1, start=0, count=2, sample=True),), openings=(Opening(1, 32, GREEDY),))
    more = StagePart((Segment(sequence=1, start=2, count=1, sample=True),))

    async def main() -> None:
        async with second_stage(tmp_path) as stage:
            writer = await stage.route()
            link = await stage.connect()
            came_back: list[object] = []
            link.on_message = lambda _link, message, _body: came_back.append(message)
            first = make_step(writer, part, 1)
            link.send(first, bytes(2 * ROW))
            assert isinstance(await stage.answers.next(), StepResult)
            second = make_step(writer, more, 2)
            tries = guesses(second.parts[0], first.parts[0])
            for ticket in tries.values():
                link.send(Step(2, 1, (ticket,)), bytes(ROW))
            await stage.answers.refusals(len(tries))
            link.send(second, bytes(ROW))
            assert isinstance(await stage.answers.next(), StepResult), "the genuine one, over the same connection"
            await asyncio.sleep(0)
            assert (came_back, stage.answers.heard, link.is_closing) == ([], [], False)
            link.close()
            await link.closed

    run(main, seconds=60)
