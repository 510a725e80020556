"""The worker's sealed slices, and whose manifests it believes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from mohawk.crypto.signing import PublisherPins
from mohawk.host.slice_store import SliceStore

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Depot:
    """One disk job at a time, in a thread: a busy disk must not stop the event loop that answers heartbeats, and two
    connections must not finish one slice twice.
    """

    def __init__(self, store: SliceStore, publisher: PublisherPins) -> None:
        self.store = store
        self.publisher = publisher
        self.tokenizer: bytes | None = None
        """The tokenizer.json that was last offered; never on the disk."""
        self._turn = asyncio.Lock()

    def take_tokenizer(self) -> bytes | None:
        """What was offered last, once: it is some megabytes."""
        tokenizer, self.tokenizer = self.tokenizer, None
        return tokenizer

    async def run(
        self, job: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs
    ) -> Result:
        """What `job` returns or raises."""
        async with self._turn:
            return await asyncio.to_thread(job, *arguments, **named)
