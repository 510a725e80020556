"""What the simulation found in repairs, one by one, in virtual time: each of these left a chain broken, or for long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from mohawk.controller.failover import RETRY_SECONDS
from mohawk.controller.member import Member
from mohawk.errors import UnavailableError, WorkerLostError
from mohawk.generation.session import GenerationRequest
from mohawk.nouns.model import LayerRange, SamplingParameters
from tests.simulation.cluster import Shape, SimulatedController, perform

CHAIN = ["worker-0", "worker-1", "worker-2", "worker-3"]
Story = Callable[[SimulatedController], Awaitable[None]]


def shape(spares: int) -> Shape:
    return Shape(workers=len(CHAIN) + spares, stages=len(CHAIN), sequences=8, kv_tokens=2048, depth=2)


def names(controller: SimulatedController) -> list[str]:
    return [member.name for member in controller.cluster.members]


async def seconds_until_whole(controller: SimulatedController, limit: float) -> float:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await asyncio.sleep(0.05)
    while not (controller.is_whole and not controller.failover.is_repairing):
        assert loop.time() - begin < limit, names(controller)
        await asyncio.sleep(0.05)
    return loop.time() - begin


def test_a_lost_worker_that_is_back_first_takes_its_own_stage_and_no_other() -> None:
    """Two are lost and nobody stands by. A worker in two places of a chain would be sent each step twice."""

    async def story(controller: SimulatedController) -> None:
        for name in CHAIN[1:3]:
            controller.worker(name).kill()
        await asyncio.sleep(2.0)
        controller.revive(CHAIN[2])  # stage 1 is the one that is being filled
        await asyncio.sleep(5.0)
        assert names(controller)[1] == CHAIN[1], "its own stage waits for it"
        controller.revive(CHAIN[1])
        await seconds_until_whole(controller, 10.0)
        assert names(controller) == CHAIN

    perform(shape(0), story)


def test_a_stage_that_is_not_reached_is_waited_for_as_long_as_a_neighbour_not_as_a_stranger() -> None:
    """The spare that takes over is cut off from the stage behind it: requests wait all that time."""

    async def story(controller: SimulatedController) -> None:
        spare = next(one for one in controller.cluster.spares if one.layers == LayerRange(1, 1))
        controller.network.cut(spare.name, CHAIN[2], until=1000.0)
        controller.worker(CHAIN[1]).kill()
        assert await seconds_until_whole(controller, 60.0) < 6.0

    perform(shape(4), story)


def test_a_spare_that_ends_while_it_loads_does_not_end_the_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody but the repair watches a worker that has no place in the chain yet."""
    load = SimulatedController._load
    victims: list[str] = []

    async def load_and_die(controller: SimulatedController, member: Member, layers: LayerRange) -> None:
        await load(controller, member, layers)
        if victims and member.name not in CHAIN:
            victims.pop()
            controller.worker(member.name).kill()
            await asyncio.sleep(0.01)

    monkeypatch.setattr(SimulatedController, "_load", load_and_die)

    async def story(controller: SimulatedController) -> None:
        (spare,) = controller.cluster.spares
        stage = next(index for index in range(len(CHAIN)) if spare.layers != LayerRange(index, index))
        victims.append(spare.name)
        controller.worker(CHAIN[stage]).kill()
        await asyncio.sleep(2.0)
        controller.revive(CHAIN[stage])
        await seconds_until_whole(controller, 20.0)
        assert not victims

    perform(shape(1), story)


def test_a_worker_that_is_lost_while_the_route_is_set_is_replaced_too() -> None:
    """The engine must not go on over a chain that broke behind the repair's back. Nor does the repair wait before it
    goes on: it knows who is gone now, and somebody stands by.
    """

    async def story(controller: SimulatedController) -> None:
        reroute = controller.cluster.reroute

        async def lose_another(*arguments: object, **options: bool) -> None:
            controller.cluster.reroute = reroute  # type: ignore[method-assign]
            await reroute(*arguments, **options)  # type: ignore[arg-type]
            controller.worker(CHAIN[3]).kill()
            await asyncio.sleep(0.01)

        controller.cluster.reroute = lose_another  # type: ignore[assignment,method-assign]
        controller.worker(CHAIN[1]).kill()
        assert await seconds_until_whole(controller, 20.0) < RETRY_SECONDS
        assert not {CHAIN[1], CHAIN[3]} & set(names(controller))

    perform(shape(4), story)


def test_two_that_lost_each_other_are_not_put_beside_each_other_again() -> None:
    """While somebody else could have the stage."""

    async def story(controller: SimulatedController) -> None:
        controller.network.cut(CHAIN[1], CHAIN[2], until=1000.0)
        await asyncio.sleep(15.0)  # long enough for who was replaced to stand by again, with a stage that it holds
        assert controller.is_whole
        evicted = ({CHAIN[1], CHAIN[2]} - set(names(controller))).pop()
        stage = CHAIN.index(evicted)
        layers = LayerRange(stage, stage)
        async with controller.failover.turn:
            for spare in controller.cluster.spares:  # who was replaced could begin at once, the other has to load first
                await controller._load(spare, layers if spare.name == evicted else LayerRange(0, 0))
        assert len(controller.cluster.spares) == 2
        controller.worker(names(controller)[stage]).kill()
        await seconds_until_whole(controller, 20.0)
        assert names(controller)[stage] != evicted

    perform(shape(2), story)


async def seconds_until_told(controller: SimulatedController) -> float:
    """Until an answer that is under way ends with a typed error. What breaks the chain was done already."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    request = GenerationRequest((5, 6), 400, SamplingParameters(temperature=0.0))
    with pytest.raises(UnavailableError):
        async for _ in controller.engine.generate(request):
            pass
    return loop.time() - begin


def test_requests_hear_of_a_silent_link_within_two_seconds_where_nobody_stands_by() -> None:
    """Both ends answer the controller, so nobody is lost; what is sent from one to the other never comes."""

    async def story(controller: SimulatedController) -> None:
        controller.network.cut(CHAIN[1], CHAIN[2], until=asyncio.get_running_loop().time() + 6.0)
        assert await seconds_until_told(controller) < 2.1
        assert await seconds_until_whole(controller, 12.0) > 2.0, "it was mended by itself when the link was"

    perform(shape(0), story)


def test_who_can_be_replaced_is_waited_for() -> None:
    """A spare that has to load first takes longer than requests wait without hope."""

    async def story(controller: SimulatedController) -> None:
        load = controller._load

        async def load_slowly(member: Member, layers: LayerRange) -> None:
            await asyncio.sleep(5.0)
            await load(member, layers)

        controller.failover._hooks = replace(controller.failover._hooks, load=load_slowly)
        (spare,) = controller.cluster.spares
        lost = next(index for index in range(len(CHAIN)) if spare.layers != LayerRange(index, index))
        controller.worker(CHAIN[lost]).kill()
        request = GenerationRequest((5, 6), 4, SamplingParameters(temperature=0.0))
        heard = [delta async for delta in controller.engine.generate(request)]
        assert len(heard) == 4

    perform(shape(1), story)


def test_a_worker_that_nobody_could_replace_is_given_the_time_to_come_back() -> None:
    """A busy machine kept it from answering for a second: with a spare it is lost by then, without one nothing is."""

    async def story(controller: SimulatedController) -> None:
        loop = asyncio.get_running_loop()
        controller.worker(CHAIN[1]).freeze()
        loop.call_later(1.1, controller.worker(CHAIN[1]).thaw)
        request = GenerationRequest((5, 6), 4, SamplingParameters(temperature=0.0))
        assert len([delta async for delta in controller.engine.generate(request)]) == 4

    perform(shape(0), story)


def test_a_worker_that_is_frozen_for_good_is_told_within_two_seconds_where_nobody_stands_by() -> None:
    async def story(controller: SimulatedController) -> None:
        controller.worker(CHAIN[1]).freeze()
        assert await seconds_until_told(controller) < 2.0
        assert controller.cluster.members[1].is_gone

    perform(shape(0), story)


def test_a_spare_that_could_not_take_a_drained_stage_stands_by_again() -> None:
    """And the worker that was to be drained serves on."""

    async def story(controller: SimulatedController) -> None:
        failover, (spare,) = controller.failover, controller.cluster.spares
        drained = next(
            name for name, layer in zip(CHAIN, range(4), strict=True) if spare.layers != LayerRange(layer, layer)
        )

        async def refuse(_member: Member, _layers: LayerRange) -> None:
            raise UnavailableError("no room")

        hooks, failover._hooks = failover._hooks, replace(failover._hooks, load=refuse)
        with pytest.raises(UnavailableError):
            await failover.drain(drained)
        failover._hooks = hooks
        assert spare.is_gone, "what it holds of the stage is unknown"
        await asyncio.sleep(10.0)
        assert [one.name for one in controller.cluster.spares] == [spare.name]
        assert names(controller) == CHAIN
        await failover.drain(drained)
        assert drained not in names(controller)

    perform(shape(1), story)


def ask(controller: SimulatedController, tokens: int) -> Awaitable[int]:
    """How many came of an answer of so many; it must not fail."""

    async def count() -> int:
        request = GenerationRequest((5, 6), tokens, SamplingParameters(temperature=0.0))
        return len([delta async for delta in controller.engine.generate(request)])

    return asyncio.get_running_loop().create_task(count())


def other_stage(controller: SimulatedController, spare: Member) -> str:
    """Who serves a stage that this spare does not hold."""
    return next(CHAIN[layer] for layer in range(len(CHAIN)) if spare.layers != LayerRange(layer, layer))


def own_stage(spare: Member) -> str:
    assert spare.layers is not None
    return CHAIN[spare.layers.first]


def test_requests_wait_for_a_route_that_takes_its_time_when_the_only_spare_is_taken() -> None:
    """Stages forget behind the pass that they compute: with a real model that is seconds."""

    async def story(controller: SimulatedController) -> None:
        (spare,) = controller.cluster.spares
        reroute = controller.cluster.reroute

        async def take_long(*arguments: object, **options: bool) -> None:
            await asyncio.sleep(3.0)
            await reroute(*arguments, **options)  # type: ignore[arg-type]

        controller.cluster.reroute = take_long  # type: ignore[assignment,method-assign]
        answer = ask(controller, 400)
        await asyncio.sleep(0.05)
        controller.worker(own_stage(spare)).kill()
        assert await answer == 400

    perform(shape(1), story)


def test_a_worker_that_failed_often_and_came_back_is_found_again_when_it_ends_while_it_stands_by() -> None:
    """Its breaker was half open when it was greeted: that try is over then."""

    async def story(controller: SimulatedController) -> None:
        (spare,) = controller.cluster.spares
        for _ in range(3):
            controller.failover._standby.fail(spare.name)
        for _ in range(2):
            controller.worker(spare.name).kill()
            controller.revive(spare.name)
            await asyncio.sleep(40.0)
            assert [one.name for one in controller.cluster.spares] == [spare.name]

    perform(shape(1), story)


def test_a_worker_that_is_drained_twice_stays_away() -> None:
    async def story(controller: SimulatedController) -> None:
        (spare,) = controller.cluster.spares
        for _ in range(2):
            await controller.failover.drain(spare.name)
        await asyncio.sleep(10.0)
        assert controller.cluster.spares == []

    perform(shape(1), story)


def test_a_worker_that_is_lost_while_it_is_drained_is_replaced_by_the_spare_that_was_to_relieve_it() -> None:
    """Which has loaded its stage by then, and does not have to begin anew first."""

    async def story(controller: SimulatedController) -> None:
        (spare,) = controller.cluster.spares
        drained, load = other_stage(controller, spare), controller._load

        async def load_and_lose(member: Member, layers: LayerRange) -> None:
            await asyncio.sleep(0.5)
            controller.worker(drained).kill()
            await asyncio.sleep(0.1)
            await load(member, layers)

        controller.failover._hooks = replace(controller.failover._hooks, load=load_and_lose)
        with pytest.raises(UnavailableError):
            await controller.failover.drain(drained)
        await seconds_until_whole(controller, 3.0)
        assert spare in controller.cluster.members

    perform(shape(1), story)


def test_a_spare_that_is_about_to_be_made_ready_when_the_chain_breaks_takes_the_stage() -> None:
    """The repair has the turn first: it must not wait for somebody who waits for it."""

    async def story(controller: SimulatedController) -> None:
        (spare,) = controller.cluster.spares
        spare.layers = None
        controller.engine.on_broken(CHAIN[1], WorkerLostError("it takes no more steps"))
        controller.failover._standby.make_ready()
        controller.worker(CHAIN[1]).kill()
        await seconds_until_whole(controller, 5.0)
        assert names(controller)[1] == spare.name

    perform(shape(1), story)


def test_speeds_are_not_compared_across_a_change_of_who_holds_what() -> None:
    """Whoever gave layers away would look slow for what it holds now, and be drained."""

    async def story(controller: SimulatedController) -> None:
        (spare,) = controller.cluster.spares
        speed = controller.failover._speed
        speed.find_slow()
        assert speed._before
        await controller.failover.drain(own_stage(spare))
        assert not speed._before

    perform(shape(1), story)
