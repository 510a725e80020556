"""Sealed slices arriving: offered with their manifest, resumed where they stopped, complete only when their digest
holds.
"""

from __future__ import annotations

import asyncio
from collections import deque

from mohawk.artifact.sealed_slice import SealedSlice
from mohawk.artifact.trust import accept_manifest
from mohawk.contract.messages import Failure, OfferSlice, SliceChunk, SliceOffset, SliceStored
from mohawk.errors import MessageError, MohawkError
from mohawk.transport.link import Link
from mohawk.worker.depot import Depot

Answer = SliceOffset | SliceStored | None


class SliceReceiver:
    """One SLICE connection. A slice's size and digest come from the manifest that our publisher signed, never from the
    sender.
    """

    def __init__(self, link: Link, depot: Depot) -> None:
        self._link = link
        self._depot = depot
        self._store = depot.store
        self._part: SealedSlice | None = None
        self._arrived: deque[tuple[object, bytearray]] = deque()
        self._work: asyncio.Task[None] | None = None

    def on_message(self, link: Link, message: object, body: bytearray) -> None:
        """One message of the controller's. Nothing more is read from the network until it is on the disk."""
        self._arrived.append((message, body))
        link.pause_reading()
        if self._work is None:
            self._work = asyncio.get_running_loop().create_task(self._work_off())

    async def _work_off(self) -> None:
        """A refusal is answered and ends the connection."""
        try:
            while self._arrived:
                message, body = self._arrived.popleft()
                answer = await self._depot.run(self._handle, message, body)
                if answer is not None:
                    self._link.send(answer)
            self._link.resume_reading()
        except MohawkError as error:
            if not self._link.is_closing:
                self._link.send(Failure(error.code, error.message, error.hint))
                self._link.close()
        finally:
            self._work = None

    def _handle(self, message: object, body: bytearray) -> Answer:
        if isinstance(message, OfferSlice):
            return self._offer(message)
        assert isinstance(message, SliceChunk)  # admission lets nothing else pass
        return self._append(message, body)

    def _offer(self, offer: OfferSlice) -> Answer:
        manifest = accept_manifest(offer.manifest, self._depot.publisher, self._store.seen_versions())
        part = self._part = manifest.find_slice(offer.slice_id)
        offset = self._store.reserve(part)
        if offset == part.sealed_bytes and not self._store.holds(part):
            self._store.finish(part.digest)  # all had arrived when an earlier run ended
        return SliceOffset(part.digest, offset, complete=offset == part.sealed_bytes)

    def _append(self, chunk: SliceChunk, body: bytearray) -> Answer:
        if self._part is None or chunk.digest != self._part.digest:
            raise MessageError("a chunk of a slice that was not offered")
        if self._store.append(chunk.digest, chunk.offset, body) < self._part.sealed_bytes:
            return None
        self._store.finish(chunk.digest)
        return SliceStored(chunk.digest)
