"""Workers that showed what their machine is show it again, every minute; one that no longer can is denied (T17).

A question that could not be answered (the TPM is busy, the machine is slow) is asked once more, soon. A second time, or
an answer that is wrong, is the end: keeping the question from being answered must gain nothing.

Rules, and the attack or accident each stops:
- Denying that fails (a full disk, a full list) cuts the worker's connection all the same, and ends no watch.
- What fails on our side says nothing of a worker: a policy file that is gone for a minute does not revoke a cluster.
  Meanwhile no key is released, and those that are held are asked about again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from mohawk.controller.attestation import Attestation, is_final, is_ours, reasons_of
from mohawk.controller.member import Member
from mohawk.errors import MohawkError, WorkerLostError
from mohawk.identity.names import NodeName

log = logging.getLogger(__name__)

EVERY_SECONDS = 60.0
AGAIN_SECONDS = 2.0

Deny = Callable[[NodeName, str], None]
"""Denies a node for a reason, and sees to it that everybody hears of it now."""


class AttestationWatch:
    """`members`: those that serve now."""

    def __init__(self, attestation: Attestation, members: Callable[[], Sequence[Member]], deny: Deny) -> None:
        self._attestation = attestation
        self._members = members
        self._deny = deny
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def look(self) -> None:
        """Ask every watched worker once, all at once."""
        try:
            self._attestation.check_policy()
        except MohawkError as error:
            log.error("no worker can be asked what its machine is: %s (%s)", error.message, error.hint)
            return
        watched = [member for member in self._members() if member.is_watched]
        await asyncio.gather(*(self._look_at(member) for member in watched))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await self.look()
            except Exception:  # the outermost edge: a fault of ours must not be the end of the watch
                log.exception("looking at the workers failed")

    async def _look_at(self, member: Member) -> None:
        error = await self._ask(member)
        if error is not None and not is_final(error):
            await asyncio.sleep(AGAIN_SECONDS)
            error = await self._ask(member)
        if error is None or member.is_gone:
            return
        if is_ours(error):
            log.error("%s could not be asked what its machine is: %s (%s)", member.name, error.message, error.hint)
            return
        log.error("%s no longer shows what it must: %s", member.name, error.message)
        try:
            self._deny(member.node, f"attestation failed: {reasons_of(error)}"[:128])
        except MohawkError as failure:
            log.error("%s could not be denied, and is cut: %s (%s)", member.name, failure.message, failure.hint)
            member.link.abort(WorkerLostError(f"worker {member.name} no longer shows what it must"))

    async def _ask(self, member: Member) -> MohawkError | None:
        try:
            await member.attest_again(self._attestation)
        except MohawkError as error:
            return error
        return None
