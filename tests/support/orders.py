"""A sealed one-slice model in a worker's store, as if it had arrived, and the order to load it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mohawk.artifact.sealed_slice import SealedSlice
from mohawk.artifact.trust import sign_manifest
from mohawk.contract.messages import LoadStage
from mohawk.contract.steps import ElementType
from mohawk.crypto.signing import PublisherKey
from mohawk.host.slice_store import SliceStore
from mohawk.nouns.model import LayerRange
from tests.support.slices import SIDE_FILES, make_context, make_manifest, make_plaintext, seal_to_file

_SIZE = 1000


def hold(store: SliceStore, part: SealedSlice, sealed: bytes) -> None:
    """`part` arrives in `store`, whole."""
    assert store.reserve(part) == 0
    store.append(part.digest, 0, sealed)
    store.finish(part.digest)


def stock(store: SliceStore, publisher: PublisherKey, version: int, scratch: Path) -> LoadStage:
    """The order to load version `version` of the model "tiny", whose only slice `store` now holds."""
    part = seal_to_file(scratch, make_context(size=_SIZE, version=version), make_plaintext(_SIZE))
    hold(store, part, scratch.read_bytes())
    return make_order(
        sign_manifest(replace(make_manifest(((0, 7),), version), slices=(part,)), publisher),
        part.context.layers,
        SIDE_FILES["config.json"],
    )


def make_order(manifest: bytes, layers: LayerRange, config: bytes) -> LoadStage:
    """Computed in float32, with room for small steps."""
    return LoadStage(
        manifest=manifest,
        run_id=layers.slice_id,
        config=config,
        compute=ElementType.F32,
        kv_tokens=64,
        token_budget=16,
        epoch=1,
    )
