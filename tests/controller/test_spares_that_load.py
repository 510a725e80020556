"""A spare that loads has no stage and no key yet: it must not be able to hold up those who have."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from mohawk.controller.member import Member
from mohawk.errors import UnavailableError, WorkerLostError
from mohawk.nouns.model import LayerRange
from tests.controller.test_failover import CHAIN, ask, names, own_stage, seconds_until_told, seconds_until_whole, shape
from tests.simulation.cluster import SimulatedController, perform


async def begin_endless_load(controller: SimulatedController, spare: Member) -> None:
    """Of a spare that has no stage; it takes one at a time."""
    begun = asyncio.Event()

    async def load(_member: Member, _layers: LayerRange) -> None:
        begun.set()
        await asyncio.sleep(900.0)

    controller.failover._standby._hooks = replace(controller.failover._hooks, load=load)
    spare.layers = None
    await begun.wait()


def test_a_repair_waits_for_no_spare_that_loads_for_ever() -> None:
    """While another one is ready. Who loads has no key and no stage: it must not be able to hold up those who have."""

    async def story(controller: SimulatedController) -> None:
        ready, _ = controller.cluster.spares
        idle = controller.cluster.spares[1]
        await begin_endless_load(controller, idle)
        answer = ask(controller, 400)
        await asyncio.sleep(0.05)
        controller.worker(own_stage(ready)).kill()
        assert await answer == 400
        assert idle.is_gone, "it begins anew"

    perform(shape(2), story)


def test_a_spare_that_loads_for_ever_can_be_drained() -> None:
    async def story(controller: SimulatedController) -> None:
        (spare,) = controller.cluster.spares
        await begin_endless_load(controller, spare)
        assert spare.name in await asyncio.wait_for(controller.failover.drain(spare.name), 5.0)
        await asyncio.sleep(5.0)
        assert controller.cluster.spares == []

    perform(shape(1), story)


def test_a_repair_waits_for_no_load_when_the_lost_worker_itself_comes_back() -> None:
    async def story(controller: SimulatedController) -> None:
        (spare,) = controller.cluster.spares
        await begin_endless_load(controller, spare)
        controller.worker(CHAIN[1]).kill()
        await asyncio.sleep(2.0)
        controller.revive(CHAIN[1])
        await seconds_until_whole(controller, 5.0)
        assert names(controller) == CHAIN

    perform(shape(1), story)


def test_a_chain_that_needs_a_route_only_waits_for_no_load() -> None:
    """Nobody is gone: a connection between two workers was reset."""

    async def story(controller: SimulatedController) -> None:
        (spare,) = controller.cluster.spares
        await begin_endless_load(controller, spare)
        answer = ask(controller, 400)
        await asyncio.sleep(0.05)
        controller.engine.on_broken(CHAIN[1], WorkerLostError("it lost the stage behind it"))
        assert await answer == 400

    perform(shape(1), story)


def test_requests_are_told_when_a_repair_waits_for_a_drain() -> None:
    """Somebody stands by, and cannot be asked: the drain has the turn for as long as its own spare loads."""

    async def story(controller: SimulatedController) -> None:
        first, second = controller.cluster.spares

        async def load(_member: Member, _layers: LayerRange) -> None:
            await asyncio.sleep(900.0)

        for spare in (first, second):
            spare.layers = LayerRange(0, 0)
        controller.failover._hooks = replace(controller.failover._hooks, load=load)
        draining = asyncio.get_running_loop().create_task(controller.failover.drain(CHAIN[2]))
        await asyncio.sleep(0.1)
        controller.worker(CHAIN[1]).kill()
        assert await seconds_until_told(controller) < 2.0
        draining.cancel()
        with pytest.raises((asyncio.CancelledError, UnavailableError)):
            await draining

    perform(shape(2), story)
