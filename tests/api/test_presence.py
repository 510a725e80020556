"""One watch looks the keys of all answers under way up, and a failing disk revokes nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from mohawk.api.auth import ApiKeys
from mohawk.api.presence import KEY_SECONDS, KeyWatch, while_present
from mohawk.errors import AuthenticationError, HostError
from mohawk.store.api_keys import ApiKey
from tests.api.toy import NOW, key_named
from tests.simulation.clock import run


class Store:
    """Counts who looks."""

    def __init__(self, *keys: ApiKey) -> None:
        self.keys = {key.digest: key for key in keys}
        self.looks = 0
        self.is_failing = False

    def find(self, digest: bytes) -> ApiKey | None:
        self.looks += 1
        if self.is_failing:
            raise HostError("reading the store failed")
        return self.keys.get(digest)

    def watch(self) -> KeyWatch:
        return KeyWatch(ApiKeys(self.find, lambda: NOW))


ALICE, BOB = key_named("alice"), key_named("bob")


async def stays() -> Message:
    return await asyncio.get_running_loop().create_future()


async def leaves() -> Message:
    await asyncio.sleep(1)
    return {"type": "http.disconnect"}


async def answer(watch: KeyWatch, key: ApiKey, seconds: float) -> None:
    await while_present(stays, watch, key.digest, wait(seconds))


async def wait(seconds: float) -> None:
    await asyncio.sleep(seconds)


def test_a_key_is_looked_up_once_however_many_answers_it_gets() -> None:
    store = Store(ALICE, BOB)
    watch = store.watch()

    async def main() -> None:
        await asyncio.gather(*(answer(watch, key, 3.5 * KEY_SECONDS) for key in (ALICE, BOB) for _ in range(50)))

    run(main())
    assert store.looks == 2 * 3


def test_nobody_looks_while_nothing_is_answered_and_again_when_something_is() -> None:
    store = Store(ALICE)
    watch = store.watch()

    async def main() -> None:
        await answer(watch, ALICE, 1)
        await asyncio.sleep(100)
        assert store.looks == 0
        await answer(watch, ALICE, 1.5 * KEY_SECONDS)
        assert store.looks == 1

    run(main())


@pytest.mark.parametrize("begun", [0.0, 0.3, 0.9])
def test_whoever_began_when_is_cut_off_in_time(begun: float) -> None:
    store = Store(ALICE, BOB)
    watch = store.watch()

    async def late() -> None:
        await asyncio.sleep(begun * KEY_SECONDS)
        await answer(watch, ALICE, 1000)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        first, second = (asyncio.create_task(one) for one in (answer(watch, ALICE, 1000), late()))
        other = asyncio.create_task(answer(watch, BOB, 10 * KEY_SECONDS))
        await asyncio.sleep(4.5 * KEY_SECONDS)
        store.keys[ALICE.digest] = replace(ALICE, revoked=NOW)
        revoked = loop.time()
        errors = await asyncio.gather(first, second, return_exceptions=True)
        assert [type(error) for error in errors] == [AuthenticationError] * 2
        assert loop.time() - revoked <= KEY_SECONDS
        await other

    run(main())


def test_a_disk_that_fails_revokes_nothing_and_is_asked_again() -> None:
    store = Store(ALICE)
    watch = store.watch()
    store.is_failing = True

    async def main() -> None:
        await answer(watch, ALICE, 2.5 * KEY_SECONDS)
        assert store.looks == 2
        task = asyncio.create_task(answer(watch, ALICE, 1000))
        await asyncio.sleep(1)
        store.is_failing = False
        store.keys.clear()
        with pytest.raises(AuthenticationError):
            await task

    run(main())


def test_the_work_has_ended_when_its_client_has_left() -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(1)  # gives back what it holds
            ended.append(True)

    async def main() -> None:
        with pytest.raises(ClientDisconnect):
            await while_present(leaves, Store(ALICE).watch(), ALICE.digest, work())
        assert ended

    run(main())


def test_of_two_reasons_to_stop_the_first_counts() -> None:
    store = Store()
    watch = store.watch()

    async def work() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(2 * KEY_SECONDS)  # the watch looks meanwhile

    async def main() -> None:
        with pytest.raises(ClientDisconnect):
            await while_present(leaves, watch, ALICE.digest, work())

    run(main())


def test_what_the_work_raises_is_its_own() -> None:
    async def work() -> None:
        raise TimeoutError("ours")

    async def main() -> None:
        with pytest.raises(TimeoutError, match="ours"):
            await while_present(stays, Store(ALICE).watch(), ALICE.digest, work())

    run(main())


def test_a_request_that_is_cancelled_is_neither() -> None:
    async def main() -> None:
        task = asyncio.create_task(answer(Store(ALICE).watch(), ALICE, 1000))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
