"""Sealed slices arriving: offered with their manifest, resumed where they stopped, complete only when their digest
holds. The tokenizer in the same way, into memory.
"""

from __future__ import annotations

import asyncio
from collections import deque

from mohawk.artifact.manifest import SideFile
from mohawk.artifact.sealed_slice import SealedSlice
from mohawk.artifact.trust import accept_manifest, check_file
from mohawk.contract.messages import Failure, OfferSlice, OfferTokenizer, SliceChunk, SliceOffset, SliceStored
from mohawk.errors import MessageError, MohawkError
from mohawk.transport.link import Link
from mohawk.worker.depot import Depot

Answer = SliceOffset | SliceStored | None


class IncomingFile:
    """A side file on its way into memory. Size and digest are the manifest's."""

    def __init__(self, file: SideFile) -> None:
        self.file = file
        self._content = bytearray()

    def append(self, chunk: SliceChunk, body: bytearray) -> bytes | None:
        """The whole file, once it is complete. Raises MessageError, ArtifactError when it is not the signed one."""
        room = self.file.size - len(self._content)
        if (chunk.digest, chunk.offset) != (self.file.digest, len(self._content)) or len(body) > room:
            raise MessageError("bytes of a side file that was not offered, or at another place")
        self._content += body
        if len(body) < room:
            return None
        content = bytes(self._content)
        check_file(self.file, content)
        return content


class SliceReceiver:
    """One SLICE connection. A slice's size and digest come from the manifest that our publisher signed, never from the
    sender.
    """

    def __init__(self, link: Link, depot: Depot) -> None:
        self._link = link
        self._depot = depot
        self._store = depot.store
        self._part: SealedSlice | None = None
        self._tokenizer: IncomingFile | None = None
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
        if isinstance(message, OfferTokenizer):
            return self._offer_tokenizer(message)
        assert isinstance(message, SliceChunk)  # admission lets nothing else pass
        if self._tokenizer is not None:
            return self._append_tokenizer(self._tokenizer, message, body)
        return self._append(message, body)

    def _offer(self, offer: OfferSlice) -> Answer:
        manifest = accept_manifest(offer.manifest, self._depot.publisher, self._store.seen_versions())
        self._tokenizer = None
        part = self._part = manifest.find_slice(offer.slice_id)
        offset = self._store.reserve(part)
        if offset == part.sealed_bytes and not self._store.holds(part):
            self._store.finish(part.digest)  # all had arrived when an earlier run ended
        return SliceOffset(part.digest, offset, complete=offset == part.sealed_bytes)

    def _offer_tokenizer(self, offer: OfferTokenizer) -> Answer:
        manifest = accept_manifest(offer.manifest, self._depot.publisher, self._store.seen_versions())
        self._depot.tokenizer = None
        self._tokenizer = IncomingFile(manifest.find_file("tokenizer.json"))
        return SliceOffset(self._tokenizer.file.digest, 0, complete=False)

    def _append_tokenizer(self, incoming: IncomingFile, chunk: SliceChunk, body: bytearray) -> Answer:
        content = incoming.append(chunk, body)
        if content is None:
            return None
        self._depot.tokenizer, self._tokenizer = content, None
        return SliceStored(chunk.digest)

    def _append(self, chunk: SliceChunk, body: bytearray) -> Answer:
        if self._part is None or chunk.digest != self._part.digest:
            raise MessageError("a chunk of a slice that was not offered")
        if self._store.append(chunk.digest, chunk.offset, body) < self._part.sealed_bytes:
            return None
        self._store.finish(chunk.digest)
        return SliceStored(chunk.digest)
