"""A worker process, from its options to its end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop

from mohawk.host.attester import Attester
from mohawk.host.audit_trail import AuditTrail
from mohawk.host.identity import NodeIdentity
from mohawk.host.lives import ENDING_SIGNALS
from mohawk.host.slice_store import SliceStore
from mohawk.identity.credentials import NodeCredentials
from mohawk.model.tensors import configure_threads
from mohawk.worker.service import Ending, Worker, WorkerSettings


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """`lifeline`: an inherited descriptor whose end ends this process; negative for none. `threads` 0: one per core.
    `trust_file`: where the newest deny-list and roots are remembered. `attester`: this machine's TPM, None without;
    `code`: for it, the digest of the code that runs. `keep`: writes renewed credentials down. `audit`: the file of its
    audit log.
    """

    identity: NodeIdentity
    host: str
    port: int
    store: Path
    quota: int
    threads: int
    lifeline: int
    trust_file: Path
    audit: Path
    attester: Attester | None = None
    code: bytes = b""
    keep: Callable[[NodeCredentials], None] = lambda _credentials: None


def run(options: WorkerOptions, announce: Callable[[int], None]) -> Ending | None:
    """Serve until SIGINT, SIGTERM or the end of the lifeline: None; or until the worker itself must end: why.

    `announce` is told the port. Raises MohawkError.
    """
    end = _End()
    uvloop.run(_serve(options, announce, end))
    return None if end.is_asked_for else end.reason  # asked only now: closing the loop takes time, too


async def _serve(options: WorkerOptions, announce: Callable[[int], None], end: _End) -> None:
    end.hear_signals(options.lifeline)
    configure_threads(options.threads or len(os.sched_getaffinity(0)))
    store = SliceStore(options.store, options.quota)
    trail = AuditTrail(options.audit, str(options.identity.credentials.name))
    settings = WorkerSettings(
        options.identity.credentials,
        options.identity.pins,
        options.host,
        options.port,
        trust_file=options.trust_file,
        keep=options.keep,
        end=end.come,
        policy=options.identity.policy,
        attester=options.attester,
        record=trail.record,
        note=trail.note,
    )
    worker = Worker(settings, store)
    try:
        if options.attester is not None:
            await asyncio.to_thread(options.attester.begin, options.code)
        announce(await worker.open())
        await end.event.wait()
    finally:
        await worker.close()
        trail.close()
        store.close()
        if options.attester is not None:
            await asyncio.to_thread(options.attester.end)  # from here on nothing on this machine quotes as this code


class _End:
    """What ends this process. Who asks for it from outside is heard until the very end: a worker that is about to begin
    anew then does not.
    """

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.reason: Ending | None = None
        self.is_asked_for = False

    def hear_signals(self, lifeline: int) -> None:
        loop = asyncio.get_running_loop()
        for number in ENDING_SIGNALS:
            loop.add_signal_handler(number, self._ask)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)  # one that follows another held them back until here
        if lifeline >= 0:
            loop.add_reader(lifeline, self._lose_lifeline, lifeline)

    def come(self, reason: Ending) -> None:
        """The first reason is the one that counts."""
        self.reason = self.reason or reason
        self.event.set()

    def _lose_lifeline(self, lifeline: int) -> None:
        """Nothing more is ever written to it: readable means that its other end is closed."""
        asyncio.get_running_loop().remove_reader(lifeline)
        self._ask()

    def _ask(self) -> None:
        self.is_asked_for = True
        self.event.set()
