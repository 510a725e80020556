"""Slices hold exactly their layers' bytes, open with the safetensors library, and together they are the model."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from mohawk.checkpoint.reader import read_card
from mohawk.checkpoint.slicer import SliceSource, slice_tensors
from mohawk.errors import ArtifactError, UsageError
from mohawk.nouns.families import Kind, classify
from mohawk.nouns.model import LayerRange
from mohawk.planning.placement import cut_evenly
from tests.support.models import FAMILIES


def content(source: SliceSource, chunk_bytes: int = 1 << 16) -> bytes:
    return b"".join(source.chunks(chunk_bytes))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("dtype", "shard_size"), [("float32", None), ("bfloat16", "200KB")])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_slices_together_are_the_model(
    real_model: Callable[..., Path], family: str, dtype: str, shard_size: str | None, parts: int
):
    folder = real_model(family, dtype, shard_size)
    card = read_card(folder)
    whole = {
        name: tensor
        for path in folder.glob("*.safetensors")
        for name, tensor in safetensors.torch.load_file(path).items()
    }
    seen: list[str] = []

    for layers in cut_evenly(card, parts):
        source = SliceSource(folder, card, layers)
        file = content(source)
        assert len(file) == source.size
        opened = safetensors.torch.load(file)
        for name, tensor in opened.items():
            assert torch.equal(tensor, whole[name])
            assert tensor.dtype == whole[name].dtype
        seen += opened

    embedding = next(t.name for t in card.tensors if classify(t.name, card.family).kind is Kind.EMBEDDING)
    twice = [embedding] if card.tied and parts > 1 else []
    assert sorted(seen) == sorted([*whole, *twice])


def test_tensors_of_64_bytes_or_a_multiple_start_at_a_multiple_of_64(real_model: Callable[..., Path]):
    for family in FAMILIES:
        card = read_card(real_model(family, "bfloat16", "200KB"))
        for layers in cut_evenly(card, 2):
            source = SliceSource(real_model(family, "bfloat16", "200KB"), card, layers)
            offset = source.size - sum(tensor.size for tensor in source.tensors)
            for tensor in source.tensors:
                # Gemma's norms of 16 elements have 32 bytes: they go last
                assert offset % min(64, tensor.size & -tensor.size) == 0, tensor.name
                offset += tensor.size


def test_embedding_goes_first_norm_and_head_last(folder: Path):
    card = read_card(folder)

    first = {tensor.name for tensor in slice_tensors(card, LayerRange(0, 0))}
    last = {tensor.name for tensor in slice_tensors(card, LayerRange(1, 1))}

    assert first == {"model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight"}
    assert last == {"model.layers.1.mlp.up_proj.weight", "model.norm.weight", "lm_head.weight"}


def test_position_embeddings_do_not_follow_a_tied_head(real_model: Callable[..., Path]):
    card = read_card(real_model("gpt2"))

    names = {tensor.name for tensor in slice_tensors(card, LayerRange(3, 5))}

    assert "transformer.wte.weight" in names
    assert "transformer.wpe.weight" not in names


@pytest.mark.parametrize("chunk_bytes", [1, 7, 64, 4096, 1 << 20])
def test_chunks_are_full_but_the_last_and_own_their_memory(folder: Path, chunk_bytes: int):
    source = SliceSource(folder, read_card(folder), LayerRange(0, 1))
    limit = 3000 * chunk_bytes if chunk_bytes < 64 else source.size
    chunks = []
    for chunk in source.chunks(chunk_bytes):
        chunks.append(chunk)
        if len(chunks) * chunk_bytes >= limit:
            break

    assert all(len(chunk) == chunk_bytes for chunk in chunks[:-1])
    assert b"".join(chunks) == content(source)[: sum(map(len, chunks))]


def test_layers_beyond_the_model_are_the_callers_fault(folder: Path):
    with pytest.raises(UsageError):
        slice_tensors(read_card(folder), LayerRange(1, 2))


def test_a_shard_that_shrank_is_noticed(folder: Path):
    card = read_card(folder)
    source = SliceSource(folder, card, LayerRange(0, 1))
    os.truncate(folder / "model.safetensors", 4096)

    with pytest.raises(ArtifactError):
        content(source)
    with pytest.raises(ArtifactError):
        SliceSource(folder, card, LayerRange(0, 1))


def test_memory_stays_constant(tmp_path: Path, real_model: Callable[..., Path]):
    folder = real_model("llama")
    source = SliceSource(folder, read_card(folder), LayerRange(0, 5))
    assert source.size > 3 << 20

    tracemalloc.start()
    try:
        for _ in source.chunks(1 << 16):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20
