"""From sealed slices to a stage that computes: trust first, then the key, then into memory, then a self-test.

A stage is a run of slices: one after the other is opened into memory of its own, and all of their tensors together are
the stage.

The order is the defence. No data key is asked for before the manifest's signature and version and the config's digest
hold; no tensor exists before the last chunk and the digest of the whole ciphertext verified (`host.slice_file`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from mohawk.artifact.manifest import Manifest
from mohawk.artifact.sealed_slice import Run, SealedSlice, run_layers
from mohawk.artifact.tensor_file import header_size, parse_header
from mohawk.artifact.trust import accept_manifest, check_side_file
from mohawk.contract.messages import LoadStage, StageReady
from mohawk.crypto.primitives import KEY_SIZE
from mohawk.crypto.signing import PublisherPins
from mohawk.errors import ArtifactError
from mohawk.host.memory import Memory, SecretBytes, allocate, available_bytes, protect, unprotect
from mohawk.host.slice_file import open_slice
from mohawk.host.slice_store import SliceStore
from mohawk.model.loading import build_stage
from mohawk.model.self_test import check_family, check_stage
from mohawk.model.stage import Stage
from mohawk.model.tensors import TensorView
from mohawk.model.turns import Turns
from mohawk.nouns.families import Kind, classify
from mohawk.nouns.model import DataType, LayerRange


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker was told to hold, after it believed it."""

    order: LoadStage
    manifest: Manifest
    run: Run
    tokenizer: bytes | None = None
    """tokenizer.json, where this stage samples."""


@dataclass(frozen=True, slots=True)
class LoadedStage:
    """A stage that passed its self-test, with the memory that its parameters are: one piece for each slice."""

    stage: Stage
    memories: tuple[Memory, ...]
    ready: StageReady

    def release(self) -> None:
        """Overwrite everything. The stage computes nothing any more."""
        _overwrite(self.stage)
        for memory in self.memories:
            memory.release()


def accept_order(
    order: LoadStage, pins: PublisherPins, store: SliceStore, tokenizer: bytes | None = None
) -> Assignment:
    """Believe an order: the publisher's signature, the version, the digests of config and tokenizer.

    Raises UntrustedArtifactError, ArtifactError, HostError (a slice is not here); then nothing was opened and nothing
    asked. Blocking, for a thread.
    """
    manifest = accept_config(order.manifest, order.config, pins, store)
    run = manifest.find_run(LayerRange.parse(order.run_id))
    for part in run:
        store.path(part)
    if tokenizer is not None:
        check_side_file(manifest, "tokenizer.json", tokenizer)
    store.remember_version(manifest.model_id, manifest.version)
    samples = run[-1].context.layers.last == manifest.layers - 1
    return Assignment(order, manifest, run, tokenizer if samples else None)


def accept_config(envelope: bytes, config: bytes, pins: PublisherPins, store: SliceStore) -> Manifest:
    """The manifest, believed, and with it config.json: nothing is built from a config that the publisher did not sign.
    Raises UntrustedArtifactError, ArtifactError. Blocking.
    """
    manifest = accept_manifest(envelope, pins, store.seen_versions())
    check_side_file(manifest, "config.json", config)
    return manifest


def load_stage(assignment: Assignment, data_keys: SecretBytes, store: SliceStore, in_turn: Turns) -> LoadedStage:
    """Open the slices into memory, build the stage and test it on the path that serves. Blocking; for a thread that
    does not compute: another stage may serve meanwhile.

    `data_keys`: 32 bytes for each slice, in order; overwritten as soon as all are open, and here, where they are used:
    whoever asked for the load may be gone by then.
    Raises ArtifactError (a slice that does not open is then quarantined, to be fetched again), UnsupportedModelError,
    HostError.
    """
    order, layers = assignment.order, run_layers(assignment.run)
    begin = time.perf_counter()
    memories: list[Memory] = []
    stage: Stage | None = None
    try:
        with data_keys:
            for number, part in enumerate(assignment.run):
                data_key = data_keys.view[number * KEY_SIZE : (number + 1) * KEY_SIZE]
                memories.append(_open(part, data_key, store))
        opened = time.perf_counter()
        tensors = join_tensors([view_tensors(memory.view) for memory in memories], assignment.manifest.family)
        compute = DataType(order.compute.name)
        stage = in_turn(lambda: build_stage(order.config, layers, tensors, compute, order.kv_tokens))
        weight_bytes = sum(part.context.plaintext_bytes for part in assignment.run)
        packed_bytes, packed_locked = in_turn(partial(_pack, stage, weight_bytes))
        built = time.perf_counter()
        in_turn(partial(check_stage, stage))
        in_turn(partial(check_family, order.config))
    except BaseException:
        if stage is not None:
            _overwrite(stage)
        for memory in memories:
            memory.release()
        raise
    tested = time.perf_counter()
    ready = StageReady(
        run_id=layers.slice_id,
        weight_bytes=weight_bytes + packed_bytes,
        kv_bytes=stage.kv_bytes,
        locked_bytes=packed_locked + sum(memory.locked_bytes for memory in memories),
        open_milliseconds=int((opened - begin) * 1000),
        build_milliseconds=int((built - opened) * 1000),
        test_milliseconds=int((tested - built) * 1000),
    )
    return LoadedStage(stage, tuple(memories), ready)


def _pack(stage: Stage, weight_bytes: int) -> tuple[int, int]:
    """Packed copies where they and the keys and values, not yet touched, take at most half of what memory is left.
    Returns (bytes of the copies, of them locked).
    """
    if 2 * (weight_bytes + stage.kv_bytes) > available_bytes():
        return 0, 0
    stage.pack()
    copies = [layer.copy for layer in stage.packed()]
    return sum(len(copy) for copy in copies), sum(protect(copy) for copy in copies)


def _overwrite(stage: Stage) -> None:
    stage.overwrite()
    for layer in stage.packed():
        unprotect(layer.copy)


def _open(part: SealedSlice, data_key: memoryview, store: SliceStore) -> Memory:
    memory = allocate(part.context.plaintext_bytes)
    try:
        open_slice(store.path(part), part, data_key, memory.view)
    except ArtifactError:
        store.quarantine(part.digest)
        raise
    return memory


def join_tensors(slices: Iterable[Mapping[str, TensorView]], family: str) -> dict[str, TensorView]:
    """All tensors of a run's slices. A tied head lies in the last slice as the embedding once more: a stage of all
    layers, which has both, takes the first.

    Raises ArtifactError when two slices hold any other tensor, UnsupportedModelError for one that the family does not
    place.
    """
    joined: dict[str, TensorView] = {}
    for tensors in slices:
        for name, view in tensors.items():
            if name not in joined:
                joined[name] = view
            elif classify(name, family).kind is not Kind.EMBEDDING or view.shape != joined[name].shape:
                raise ArtifactError("two slices of a stage hold one tensor")
    return joined


def view_tensors(content: memoryview) -> dict[str, TensorView]:
    """The tensors of an opened slice, by name; each a view of `content`. Raises ArtifactError."""
    size = len(content)
    start = header_size(bytes(content[:8]), size)
    records = parse_header(bytes(content[:start]), size)
    return {
        record.name: TensorView(record.dtype, record.shape, content[start + record.begin : start + record.end])
        for record in records
    }
