"""What comes for one reader is read once, in order, whoever waits for whom."""

from __future__ import annotations

import asyncio

import pytest

from mohawk.controller.mailbox import Mailbox


def test_what_came_before_and_while_the_reader_waits_is_read_in_order() -> None:
    async def main() -> list[int]:
        box: Mailbox[int] = Mailbox()
        box.put(1)
        first = await box.get()
        reading = asyncio.create_task(box.get())
        await asyncio.sleep(0)
        box.put(2)
        box.put(3)
        return [first, await reading, await box.get()]

    assert asyncio.run(main()) == [1, 2, 3]


def test_a_reader_that_leaves_takes_nothing_along() -> None:
    async def main() -> int:
        box: Mailbox[int] = Mailbox()
        reading = asyncio.create_task(box.get())
        await asyncio.sleep(0)
        box.put(1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        box.put(2)
        return await box.get()

    assert asyncio.run(main()) == 1
