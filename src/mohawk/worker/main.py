"""A worker process, from its options to its end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop

from mohawk.crypto.signing import PublisherPins
from mohawk.host.slice_store import SliceStore
from mohawk.identity.credentials import NodeCredentials
from mohawk.model.tensors import configure_threads
from mohawk.worker.service import Worker, WorkerSettings


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """`lifeline`: an inherited descriptor whose end ends this process; negative for none. `threads` 0: one per core.
    `keep`: writes renewed credentials down.
    """

    credentials: NodeCredentials
    publisher: PublisherPins
    host: str
    port: int
    store: Path
    quota: int
    threads: int
    lifeline: int
    keep: Callable[[NodeCredentials], None] = lambda _credentials: None


def run(options: WorkerOptions, announce: Callable[[int], None]) -> None:
    """Serve until SIGINT, SIGTERM or the end of the lifeline. `announce` is told the port. Raises MohawkError."""
    uvloop.run(_serve(options, announce))


async def _serve(options: WorkerOptions, announce: Callable[[int], None]) -> None:
    configure_threads(options.threads or len(os.sched_getaffinity(0)))
    store = SliceStore(options.store, options.quota)
    settings = WorkerSettings(
        options.credentials,
        options.publisher,
        options.host,
        options.port,
        trust_file=options.store / "trust.json",
        keep=options.keep,
    )
    worker = Worker(settings, store)
    try:
        announce(await worker.open())
        await _wait_for_end(options.lifeline)
    finally:
        await worker.close()
        store.close()


async def _wait_for_end(lifeline: int) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    if lifeline >= 0:
        loop.add_reader(lifeline, ended.set)  # nothing more is ever written to it: readable means closed
    await ended.wait()
