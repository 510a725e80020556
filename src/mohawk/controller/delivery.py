"""Sealed slices to workers: over their own connection, resumed where they stopped, nothing sent that is there
already.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from mohawk.artifact.sealed_slice import Run, SealedSlice
from mohawk.channel.profile import NodeContext
from mohawk.contract.messages import (
    CHUNK_BYTES,
    Failure,
    OfferSlice,
    OfferTokenizer,
    Purpose,
    SliceChunk,
    SliceOffset,
    SliceStored,
)
from mohawk.errors import HostError, RemoteError
from mohawk.host.sealed_folder import SealedFolder
from mohawk.transport.dial import Target, dial
from mohawk.transport.link import Link, failure_error

OFFER_SECONDS = 30.0
STORE_SECONDS = 600.0
"""Hashing and syncing what arrived, on the slowest disk."""

Progress = Callable[[int], None]
"""Told how many bytes the worker holds."""


async def deliver_slices(
    context: NodeContext, target: Target, folder: SealedFolder, run: Run, progress: Progress
) -> int:
    """Make sure that the worker holds every slice of `run`, one after the other over one connection; the bytes that had
    to be sent, 0 when it had them all.

    Raises RemoteError with the worker's refusal, UnavailableError, HostError when our own copy cannot be read.
    """
    link = await dial(context, target, Purpose.SLICE)
    try:
        held = sent = 0
        for part in run:
            sent += await _deliver(link, folder, part, _continue(progress, held))
            held += part.sealed_bytes
        return sent
    finally:
        link.close()


def _continue(progress: Progress, held: int) -> Progress:
    """One slice's progress as progress of the run."""
    return lambda done: progress(held + done)


async def _deliver(link: Link, folder: SealedFolder, part: SealedSlice, progress: Progress) -> int:
    answer = await link.request(OfferSlice(folder.envelope, part.slice_id), SliceOffset, OFFER_SECONDS)
    if answer.digest != part.digest or answer.offset > part.sealed_bytes:
        raise RemoteError(f"{link.peer.name} asks for another slice than it was offered")
    progress(answer.offset)
    if not answer.complete:
        await _send_rest(link, folder, part, answer.offset, progress)
    return part.sealed_bytes - answer.offset


async def deliver_tokenizer(context: NodeContext, target: Target, folder: SealedFolder) -> None:
    """Bring the model's tokenizer.json into the worker's memory. Raises like `deliver_slices`."""
    content = folder.side_files()["tokenizer.json"]
    link = await dial(context, target, Purpose.SLICE)
    try:
        answer = await link.request(OfferTokenizer(folder.envelope), SliceOffset, OFFER_SECONDS)
        if answer != SliceOffset(folder.manifest.find_file("tokenizer.json").digest, 0, complete=False):
            raise RemoteError(f"{target.name} asks for another file than it was offered")
        link.on_message = _raise_refusal
        last = (len(content) - 1) // CHUNK_BYTES * CHUNK_BYTES
        for offset in range(0, last, CHUNK_BYTES):
            link.send(SliceChunk(answer.digest, offset), content[offset : offset + CHUNK_BYTES])
            await link.drain()
        await link.request(SliceChunk(answer.digest, last), SliceStored, STORE_SECONDS, content[last:])
    finally:
        link.close()


async def _send_rest(link: Link, folder: SealedFolder, part: SealedSlice, offset: int, progress: Progress) -> None:
    link.on_message = _raise_refusal
    last = part.sealed_bytes - min(CHUNK_BYTES, part.sealed_bytes - offset)
    with folder.open_slice_file(part) as descriptor:
        while offset < last:
            block = _read(descriptor, min(CHUNK_BYTES, last - offset), offset)
            link.send(SliceChunk(part.digest, offset), block)
            await link.drain()
            offset += len(block)
            progress(offset)
        final = _read(descriptor, part.sealed_bytes - offset, offset)
    await link.request(SliceChunk(part.digest, offset), SliceStored, STORE_SECONDS, final)
    progress(part.sealed_bytes)


def _read(descriptor: int, size: int, offset: int) -> bytes:
    block = os.pread(descriptor, size, offset)
    if len(block) != size:
        raise HostError("a sealed slice is shorter than its manifest says", hint="seal the model again")
    return block


def _raise_refusal(_link: Link, message: object, _body: bytearray) -> None:
    """A refusal in the middle ends the transfer; the next send raises it."""
    raise failure_error(message) if isinstance(message, Failure) else RemoteError("an answer that was not asked for")
