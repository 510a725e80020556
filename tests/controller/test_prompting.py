"""Prompts are read in threads of their own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from threading import Event

from mohawk.checkpoint.reader import read_side_files
from mohawk.checkpoint.settings import read_settings
from mohawk.controller.prompting import THREADS, Prompting
from tests.support.folders import write_folder


def test_a_crowd_of_long_prompts_keeps_nothing_else_from_a_thread(tmp_path: Path) -> None:
    """A repair opens the model's key in one: it must not queue behind what clients sent."""
    sides = read_side_files(write_folder(tmp_path))
    prompting, free = Prompting("tiny", read_settings(sides), sides), Event()

    async def crowd() -> None:
        reading = [asyncio.ensure_future(prompting.in_thread(free.wait)) for _ in range(64 * THREADS)]
        try:
            async with asyncio.timeout(10.0):
                assert await asyncio.to_thread(prompting.encode_text, "hello")
        finally:
            free.set()
        await asyncio.gather(*reading)

    try:
        asyncio.run(crowd())
    finally:
        prompting.close()
