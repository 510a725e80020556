"""From a Hugging Face model folder to a ModelCard: config.json, side files and safetensors headers; without torch.

A model folder is a download, so it is material to judge. Refused before anything of it could run or be allocated:
- remote code (`auto_map`, C03) and pickled weights (S13): the only ways in which a model folder brings code;
- claims beyond published limits, such as 10^9 layers (C04);
- what would compute something else than the model: quantised weights, adapters, encoders, tensors without a place.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from mohawk.artifact.manifest import SIDE_FILES
from mohawk.artifact.strict_json import JsonObject, parse_object
from mohawk.artifact.tensor_file import header_size, parse_header
from mohawk.checkpoint.folder import (
    check_plain_name,
    file_size,
    list_names,
    open_file,
    read_exactly,
    read_file,
    read_into,
)
from mohawk.checkpoint.settings import TextSettings, read_settings
from mohawk.errors import ArtifactError, RemoteError, UnsupportedModelError, UsageError
from mohawk.ids import check_model_id
from mohawk.nouns.families import Kind, Part, family_table, place_tensors
from mohawk.nouns.model import DataType, ModelCard, TensorEntry

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
_INDEX_LIMIT = 32 << 20
_JSON_TOKENS = 1 << 20
_SHARD_LIMIT = 4096
_HASH_BLOCK = 4 << 20
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack", ".npz", ".gguf")

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in total."""


def read_card(folder: Path, *, model_id: str | None = None, progress: Progress | None = None) -> ModelCard:
    """The card of the model in `folder`; reads every byte once, for the revision. `model_id` defaults to the folder's
    name.

    Raises UsageError (no folder, no usable name), UnsupportedModelError (refused), ArtifactError (broken), HostError
    (disk).
    """
    identifier = _choose_model_id(folder, model_id)
    names = list_names(folder)
    _refuse_unsupported_files(names)
    sides = read_side_files(folder)
    settings = read_settings(sides)
    shards, listed = _list_shards(folder, names)
    tensors = tuple(tensor for shard in shards for tensor in read_tensors(folder, shard))
    _check_index(tensors, listed)
    parts = place_tensors((tensor.name for tensor in tensors), settings.family, settings.layers)
    kept = tuple(tensor for tensor in tensors if parts[tensor.name].kind is not Kind.DROPPED)
    _check_embedding(kept, parts, settings)
    hashed = sorted([*shards, *sides, *([INDEX] if listed is not None else [])])
    return ModelCard(
        model_id=identifier,
        revision=compute_revision(folder, hashed, progress),
        family=settings.family,
        layers=settings.layers,
        hidden_size=settings.hidden_size,
        kv_heads=settings.kv_heads,
        head_dim=settings.head_dim,
        vocabulary_size=settings.vocabulary_size,
        context_length=settings.context_length,
        dtype=_prevailing_type(kept),
        tied=_is_tied(parts, settings),
        end_of_sequence=settings.end_of_sequence,
        tensors=kept,
    )


def read_side_files(folder: Path) -> dict[str, bytes]:
    """Content of each of `SIDE_FILES` that the folder holds, by name.

    Raises ArtifactError, HostError, UsageError, UnsupportedModelError.
    """
    names = list_names(folder)
    for needed, hint in (
        ("config.json", "this is not a Hugging Face model folder"),
        (
            "tokenizer.json",
            "load and save the model's tokenizer with transformers, which writes it",
        ),
    ):
        if needed not in names:
            raise UnsupportedModelError(f"the model folder has no {needed}", hint=hint)
    return {name: read_file(folder, name, limit) for name, limit in SIDE_FILES.items() if name in names}


def read_tensors(folder: Path, name: str) -> tuple[TensorEntry, ...]:
    """The tensors of one safetensors file, from its header alone. Raises ArtifactError, HostError."""
    with open_file(folder, name) as descriptor:
        size = os.fstat(descriptor).st_size
        start = header_size(read_exactly(descriptor, 0, min(8, size)), size)
        records = parse_header(read_exactly(descriptor, 0, start), size)
    return tuple(TensorEntry(r.name, r.dtype, r.shape, name, start + r.begin, start + r.end) for r in records)


def compute_revision(folder: Path, names: list[str], progress: Progress | None = None) -> str:
    """SHA-256 (hex) over one line per file, `<sha256> <size> <name>`, sorted by name: `sha256sum` can check it."""
    total = sum(file_size(folder, name) for name in names)
    done = 0
    lines = []
    buffer = memoryview(bytearray(_HASH_BLOCK))
    for name in sorted(names):
        digest = hashlib.sha256()
        with open_file(folder, name) as descriptor:
            size = os.fstat(descriptor).st_size
            for offset in range(0, size, _HASH_BLOCK):
                block = buffer[: min(_HASH_BLOCK, size - offset)]
                read_into(descriptor, offset, block)
                digest.update(block)
                done += len(block)
                if progress is not None:
                    progress(done, total)
        lines.append(f"{digest.hexdigest()} {size} {name}\n")
    return hashlib.sha256("".join(lines).encode("ascii")).hexdigest()


def _choose_model_id(folder: Path, model_id: str | None) -> str:
    try:
        return check_model_id(folder.resolve().name if model_id is None else model_id)
    except RemoteError as error:
        raise UsageError(
            "the model's name is no model id", hint=f"name it yourself; {error.hint}", field="model"
        ) from error


def _refuse_unsupported_files(names: frozenset[str]) -> None:
    if "adapter_config.json" in names:
        raise UnsupportedModelError("the folder holds an adapter", hint="merge it into its base model first")
    if names.isdisjoint({SINGLE, INDEX}):
        if any(name.endswith(_PICKLED) for name in names):
            raise UnsupportedModelError(
                "the weights are pickled or in another format than safetensors",
                hint="a pickle runs code when it is read; use the model's safetensors files, or convert it elsewhere",
            )
        raise UnsupportedModelError(f"the model folder has neither {SINGLE} nor {INDEX}")


def _list_shards(folder: Path, names: frozenset[str]) -> tuple[tuple[str, ...], JsonObject | None]:
    """The weight files, and the index where the model has one. A single file wins, as in transformers."""
    if SINGLE in names:
        return (SINGLE,), None
    index = parse_object(read_file(folder, INDEX, _INDEX_LIMIT), limit=_INDEX_LIMIT, tokens=_JSON_TOKENS)
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ArtifactError("a shard index without a weight map")
    shards = {check_plain_name(name) if isinstance(name, str) else "" for name in weight_map.values()}
    if len(shards) > _SHARD_LIMIT or not all(shard.endswith(".safetensors") for shard in shards):
        raise ArtifactError("a shard index that names something other than safetensors files, or too many")
    return tuple(sorted(shards)), index


def _check_index(tensors: tuple[TensorEntry, ...], index: JsonObject | None) -> None:
    """Index and shards agree both ways, and no name stands in two shards. Raises ArtifactError."""
    found = {tensor.name: tensor.file for tensor in tensors}
    if len(found) != len(tensors):
        raise ArtifactError("two shards hold a tensor of the same name")
    if index is None:
        return
    if index["weight_map"] != found:
        raise ArtifactError("the shard index and the shards disagree", hint="download the model again")
    metadata = index.get("metadata")
    claimed = metadata.get("total_size") if isinstance(metadata, dict) else None
    if claimed is not None and claimed != sum(tensor.size for tensor in tensors):
        raise ArtifactError("the shard index claims another total size than the shards have")


def _check_embedding(tensors: tuple[TensorEntry, ...], parts: dict[str, Part], settings: TextSettings) -> None:
    embedding = next(tensor for tensor in tensors if parts[tensor.name].kind is Kind.EMBEDDING)
    if embedding.shape[:1] != (settings.vocabulary_size,):
        raise ArtifactError("the embedding has another number of rows than config.json's vocabulary")


def _is_tied(parts: dict[str, Part], settings: TextSettings) -> bool:
    """No head among the tensors, and config.json (or the family, where it is silent) says that the embedding serves."""
    if any(part.kind is Kind.HEAD for part in parts.values()):
        return False
    if not (family_table(settings.family).tied if settings.tied is None else settings.tied):
        raise ArtifactError("the weights have no output head, and config.json does not tie it to the embedding")
    return True


def _prevailing_type(tensors: tuple[TensorEntry, ...]) -> DataType:
    """The type that most bytes of weights have: norms may be kept in a wider one."""
    sizes: Counter[DataType] = Counter()
    for tensor in tensors:
        sizes[tensor.dtype] += tensor.size
    return sizes.most_common(1)[0][0]
