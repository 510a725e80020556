"""From a sealed slice to a stage that computes: trust first, then the key, then into memory, then a self-test.

The order is the defence. No data key is asked for before the manifest's signature and version and the config's digest
hold; no tensor exists before the last chunk and the digest of the whole ciphertext verified (`host.slice_file`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from mohawk.artifact.manifest import Manifest
from mohawk.artifact.sealed_slice import SealedSlice
from mohawk.artifact.tensor_file import header_size, parse_header
from mohawk.artifact.trust import accept_manifest, check_side_file
from mohawk.contract.messages import LoadStage, StageReady
from mohawk.crypto.signing import PublisherPins
from mohawk.errors import ArtifactError
from mohawk.host.memory import Memory, SecretBytes, allocate
from mohawk.host.slice_file import open_slice
from mohawk.host.slice_store import SliceStore
from mohawk.model.loading import build_stage
from mohawk.model.self_test import check_family, check_stage
from mohawk.model.stage import Stage
from mohawk.model.tensors import TensorView
from mohawk.nouns.model import DataType


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker was told to hold, after it believed it."""

    order: LoadStage
    manifest: Manifest
    part: SealedSlice


@dataclass(frozen=True, slots=True)
class LoadedStage:
    """A stage that passed its self-test, with the memory that its parameters are."""

    stage: Stage
    memory: Memory
    ready: StageReady


def accept_order(order: LoadStage, pins: PublisherPins, store: SliceStore) -> Assignment:
    """Believe an order: the publisher's signature, the version, the config's digest.

    Raises UntrustedArtifactError, ArtifactError, HostError (the slice is not here); then nothing was opened and nothing
    asked. Blocking, for a thread.
    """
    manifest = accept_manifest(order.manifest, pins, store.seen_versions())
    check_side_file(manifest, "config.json", order.config)
    part = manifest.find_slice(order.slice_id)
    store.path(part)
    store.remember_version(manifest.model_id, manifest.version)
    return Assignment(order, manifest, part)


def load_stage(assignment: Assignment, data_key: SecretBytes, store: SliceStore) -> LoadedStage:
    """Open the slice into memory, build the stage and test it on the path that serves. Blocking; for a thread.

    The data key is overwritten as soon as the slice is open, and here, where it is used: whoever asked for the load may
    be gone by then.
    Raises ArtifactError (the slice is then quarantined, to be fetched again), UnsupportedModelError, HostError.
    """
    order, part = assignment.order, assignment.part
    begin = time.perf_counter()
    memory = allocate(part.context.plaintext_bytes)
    try:
        with data_key:
            open_slice(store.path(part), part, data_key.view, memory.view)
    except ArtifactError:
        store.quarantine(part.digest)
        raise
    opened = time.perf_counter()
    try:
        stage = build_stage(
            order.config, part.context.layers, view_tensors(memory.view), DataType(order.compute.name), order.kv_tokens
        )
        built = time.perf_counter()
        check_stage(stage)
        check_family(order.config)
    except BaseException:
        memory.release()
        raise
    tested = time.perf_counter()
    ready = StageReady(
        slice_id=part.slice_id,
        weight_bytes=part.context.plaintext_bytes,
        kv_bytes=stage.kv_bytes,
        locked_bytes=memory.locked_bytes,
        open_milliseconds=int((opened - begin) * 1000),
        build_milliseconds=int((built - opened) * 1000),
        test_milliseconds=int((tested - built) * 1000),
    )
    return LoadedStage(stage, memory, ready)


def view_tensors(content: memoryview) -> dict[str, TensorView]:
    """The tensors of an opened slice, by name; each a view of `content`. Raises ArtifactError."""
    size = len(content)
    start = header_size(bytes(content[:8]), size)
    records = parse_header(bytes(content[:start]), size)
    return {
        record.name: TensorView(record.dtype, record.shape, content[start + record.begin : start + record.end])
        for record in records
    }
