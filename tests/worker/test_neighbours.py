"""When a neighbour counts as silent, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from mohawk.contract.steps import Pulse
from mohawk.errors import UnavailableError
from mohawk.worker.neighbours import BEAT_SECONDS, SILENT_BEATS, watch
from tests.simulation import clock

PATIENCE = SILENT_BEATS * BEAT_SECONDS


@dataclass
class Wire:
    """The part of a link that is watched."""

    activity: int = 0
    is_paused: bool = False
    is_closing: bool = False
    write_paused: bool = False
    fails: bool = False
    sent: list[object] = field(default_factory=list)
    silent_at: list[float] = field(default_factory=list)

    def send(self, message: object) -> None:
        if self.fails:
            raise UnavailableError("the connection is closed")
        self.sent.append(message)

    def watch(self) -> None:
        loop = asyncio.get_running_loop()
        watch(self, lambda: self.silent_at.append(loop.time()))  # type: ignore[arg-type]


def play(story: Callable[[Wire], Awaitable[None]]) -> Wire:
    wire = Wire()

    async def main() -> None:
        wire.watch()
        await story(wire)

    clock.run(main())
    return wire


async def hear(wire: Wire, seconds: float) -> None:
    for _ in range(int(seconds / 0.1)):
        wire.activity += 1
        await asyncio.sleep(0.1)


def test_silence_is_told_once_and_within_the_patience() -> None:
    async def story(wire: Wire) -> None:
        await hear(wire, 3.0)
        assert wire.silent_at == []
        await asyncio.sleep(5.0)

    (at,) = play(story).silent_at
    assert PATIENCE <= at - 2.9 <= PATIENCE + BEAT_SECONDS + 0.001


def test_pulses_are_sent_as_long_as_the_connection_is_there() -> None:
    async def story(wire: Wire) -> None:
        await hear(wire, 1.0)
        wire.is_closing = True
        await asyncio.sleep(5.0)

    wire = play(story)
    assert wire.sent == [Pulse()] * (int(1.0 / BEAT_SECONDS) + 1)
    assert wire.silent_at == [], "one that ended was not silent"


def test_who_reads_nothing_accuses_nobody() -> None:
    async def story(wire: Wire) -> None:
        wire.is_paused = True
        await asyncio.sleep(10.0)
        assert wire.silent_at == []
        wire.is_paused = False
        await asyncio.sleep(PATIENCE - BEAT_SECONDS)
        assert wire.silent_at == []

    play(story)


def test_a_worker_that_was_held_up_itself_accuses_nobody() -> None:
    """Its loop stood still for a minute; what came meanwhile is read after one late beat."""

    async def story(wire: Wire) -> None:
        await hear(wire, 1.0)
        asyncio.get_running_loop()._selector.now += 60.0  # type: ignore[attr-defined]
        await hear(wire, 1.0)
        assert wire.silent_at == []

    play(story)


def test_what_waits_to_be_sent_is_pulse_enough_and_a_dead_connection_is_no_error() -> None:
    async def story(wire: Wire) -> None:
        wire.write_paused = True
        await hear(wire, 1.0)
        wire.write_paused, wire.fails = False, True
        await hear(wire, 1.0)

    assert len(play(story).sent) == 1
