"""Seal and open slice files: constant memory one way, straight into the caller's memory the other.

Rules, and the attack each stops:

1. Opening trusts the manifest's entry, not the file: size, header and digest must equal what the publisher signed.
2. The bytes that are hashed are the bytes that are decrypted: each is read once, into our own memory. A mapped file
   could be changed by another process between the two.
3. Nothing is handed out before the final chunk and the digest are verified; on any failure the buffer is overwritten
   (S01).
4. The commitment is compared before chunk 0: a wrong key is found without decrypting under it (S09).

Python lets go of its global lock inside ChaCha20-Poly1305 and SHA-256, so threads here are real parallelism.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from mohawk.artifact.sealed_slice import SealedSlice, SealingContext, SliceHeader, parse_header, prefix_size
from mohawk.crypto.primitives import overwrite, random_bytes, require_equal
from mohawk.crypto.stream import CHUNK_SIZE, SEALED_CHUNK_SIZE, STREAM_NONCE_SIZE, StreamKey, count_chunks
from mohawk.errors import ArtifactError, RemoteError, UsageError
from mohawk.host.files import open_regular, replace_file, require_free_space, translate_errors, write_at, write_through

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from mohawk.crypto.primitives import Buffer

_GROUP = 32
"""Chunks per read or write: 2 MiB, large enough that Python's own time disappears."""
_GROUP_BYTES = _GROUP * SEALED_CHUNK_SIZE
_SLOTS = 6
"""Groups in flight: 12 MiB, all the memory that sealing or opening needs beyond the weights."""
_MOST_THREADS = 4
"""SHA-256 on one core is slower than two cores of ChaCha20-Poly1305; more threads would wait for it."""


class _Slot:
    """A group's buffer, and what still reads from it."""

    __slots__ = ("pending", "view")

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_GROUP_BYTES))
        self.pending: list[Future[None]] = []

    def wait(self) -> None:
        """Until the buffer may be reused. Raises what went wrong in a thread."""
        for future in self.pending:
            future.result()
        self.pending = []


def seal_slice(
    path: Path,
    context: SealingContext,
    data_key: Buffer,
    source: Iterable[Buffer],
    progress: Callable[[int], None],
) -> SealedSlice:
    """Seal `context.plaintext_bytes` bytes from `source` (buffers of any size) into `path` (0600, replaced as a whole).

    `data_key`: 32 bytes, fresh, for this file only. `progress` is told the plaintext bytes sealed so far.
    Raises UsageError when the source's length is not the promised one, HostError when the disk fails; `path` is then
    unchanged.
    """
    nonce = random_bytes(STREAM_NONCE_SIZE)
    key = StreamKey(data_key, nonce, context.stream_info())
    prefix = SliceHeader(context, key.commitment, nonce).encode()
    digest = hashlib.sha256(prefix)
    require_free_space(path.parent, SealedSlice(context, digest.hexdigest()).sealed_bytes)
    with replace_file(path) as descriptor:
        write_at(descriptor, prefix, 0)
        offset = len(prefix)
        with ThreadPoolExecutor(1) as hasher, ThreadPoolExecutor(1) as writer:
            slots = [_Slot() for _ in range(_SLOTS)]
            chunks = _cut_chunks(source, context.plaintext_bytes)
            for number, begin in enumerate(range(0, count_chunks(context.plaintext_bytes), _GROUP)):
                slot = slots[number % _SLOTS]
                slot.wait()
                sealed = _seal_group(key, chunks, begin, context.plaintext_bytes, slot.view)
                slot.pending = [
                    hasher.submit(digest.update, sealed),
                    writer.submit(write_through, descriptor, sealed, offset),
                ]
                offset += len(sealed)
                progress(min((begin + _GROUP) * CHUNK_SIZE, context.plaintext_bytes))
            for slot in slots:
                slot.wait()
            _require_end(chunks)
    return SealedSlice(context, digest.hexdigest())


def _seal_group(key: StreamKey, chunks: Iterator[memoryview], begin: int, total: int, out: memoryview) -> memoryview:
    """Seal chunks `begin`, `begin + 1`, … into `out`, at most a group of them; the part of `out` that was filled."""
    count = count_chunks(total)
    filled = 0
    for index in range(begin, min(begin + _GROUP, count)):
        chunk = next(chunks)
        end = filled + len(chunk) + SEALED_CHUNK_SIZE - CHUNK_SIZE
        key.seal_chunk(index, chunk, out[filled:end], final=index == count - 1)
        filled = end
    return out[:filled]


def _cut_chunks(source: Iterable[Buffer], total: int) -> Iterator[memoryview]:
    """`total` bytes of `source` in chunks, copied only where a chunk spans two buffers; a chunk is valid until the
    next is taken.

    Raises UsageError when `source` holds more or less.
    """
    spanning = memoryview(bytearray(CHUNK_SIZE))
    filled, left = 0, total
    for block in source:
        view = memoryview(block).cast("B")
        while view:
            if not left:
                raise UsageError("more bytes to seal than the sealing context says")
            wanted = min(CHUNK_SIZE, left) - filled
            part, view = view[:wanted], view[wanted:]
            if not filled and len(part) == wanted:
                left -= wanted
                yield part
                continue
            spanning[filled : filled + len(part)] = part
            filled += len(part)
            if len(part) == wanted:
                yield spanning[:filled]
                left, filled = left - filled, 0
    overwrite(spanning)
    if left:
        raise UsageError("fewer bytes to seal than the sealing context says")


def _require_end(chunks: Iterator[memoryview]) -> None:
    for _ in chunks:
        raise UsageError("more bytes to seal than the sealing context says")


def open_slice(path: Path, expected: SealedSlice, data_key: Buffer, buffer: memoryview) -> None:
    """Fill `buffer` (exactly `plaintext_bytes`) with what `path` seals.

    `expected` comes from an accepted manifest. Raises ArtifactError: truncated, extended, altered, or sealed under
    another key; HostError: the disk failed. The buffer then holds zeros.
    """
    if len(buffer) != expected.context.plaintext_bytes or buffer.readonly:
        raise UsageError("a buffer to open a slice into must be writable and of the slice's size")
    verified = False
    try:
        with open_regular(path) as descriptor, translate_errors("reading a slice"):
            _open_all(descriptor, expected, data_key, buffer)
        verified = True
    except RemoteError as error:
        raise ArtifactError(f"sealed slice refused: {error.message}", hint="the slice must be fetched again") from None
    finally:
        if not verified:
            overwrite(buffer)


def _open_all(descriptor: int, expected: SealedSlice, data_key: Buffer, buffer: memoryview) -> None:
    if os.fstat(descriptor).st_size != expected.sealed_bytes:
        raise ArtifactError("it is truncated or has bytes appended")
    prefix = bytearray(prefix_size(expected.context))
    _read_at(descriptor, memoryview(prefix), 0)
    key = _derive_key(parse_header(bytes(prefix)), expected, data_key)
    digest = hashlib.sha256(prefix)
    with ThreadPoolExecutor(min(_MOST_THREADS, len(os.sched_getaffinity(0)))) as openers:
        slots = [_Slot() for _ in range(_SLOTS)]
        body = expected.sealed_bytes - len(prefix)
        for number, begin in enumerate(range(0, body, _GROUP_BYTES)):
            slot = slots[number % _SLOTS]
            slot.wait()
            sealed = slot.view[: min(_GROUP_BYTES, body - begin)]
            _read_at(descriptor, sealed, len(prefix) + begin)
            slot.pending = [openers.submit(_open_group, key, sealed, number * _GROUP, buffer)]
            digest.update(sealed)
        for slot in slots:
            slot.wait()
    require_equal(digest.digest(), bytes.fromhex(expected.digest), ArtifactError("its digest is not the signed one"))


def _derive_key(header: SliceHeader, expected: SealedSlice, data_key: Buffer) -> StreamKey:
    if header.context != expected.context:
        raise ArtifactError("its header names another slice than the manifest")
    key = StreamKey(data_key, header.nonce, expected.context.stream_info())
    require_equal(key.commitment, header.commitment, ArtifactError("it is sealed under another key or header"))
    return key


def _open_group(key: StreamKey, sealed: memoryview, first: int, buffer: memoryview) -> None:
    """Open the chunks in `sealed`, whose first has index `first`, to their place in `buffer`."""
    last = count_chunks(len(buffer)) - 1
    for index, begin in enumerate(range(0, len(sealed), SEALED_CHUNK_SIZE), first):
        chunk = sealed[begin : begin + SEALED_CHUNK_SIZE]
        out = buffer[index * CHUNK_SIZE : min((index + 1) * CHUNK_SIZE, len(buffer))]
        key.open_chunk(index, chunk, out, final=index == last)


def _read_at(descriptor: int, view: memoryview, offset: int) -> None:
    while view:
        count = os.preadv(descriptor, [view], offset)
        if count == 0:
            raise ArtifactError("it became shorter while it was read")
        view, offset = view[count:], offset + count
