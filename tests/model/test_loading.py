"""What a stage is made of: the opened bytes themselves, all of them, and nothing that a config could bring along."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from mohawk.errors import ArtifactError, UnsupportedModelError, UsageError
from mohawk.model.families import read_config
from mohawk.model.loading import build_stage
from mohawk.model.tensors import TensorView
from mohawk.nouns.model import DataType, LayerRange
from tests.model.opening import decode_alone, decode_together, open_slice, open_stage, seeded_prompts
from tests.support.models import FAMILIES, build_model

_CUTS = [LayerRange(0, 5), LayerRange(0, 1), LayerRange(2, 3), LayerRange(4, 5)]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layers", _CUTS, ids=lambda layers: layers.slice_id)
def test_parameters_are_the_opened_bytes(model_folder: Callable[[str], Path], family: str, layers: LayerRange) -> None:
    """No second copy of a weight, and no tensor of the slice left unused (a tied head is the embedding's memory)."""
    folder = model_folder(family)
    opened = open_slice(folder, layers)
    config = (folder / "config.json").read_bytes()
    stage = build_stage(config, layers, opened.tensors, DataType.FLOAT32, 64)
    begin = torch.frombuffer(opened.buffer, dtype=torch.uint8).data_ptr()
    for name, parameter in stage.parameters().items():
        assert begin <= parameter.data_ptr() < begin + len(opened.buffer), name
    used = {parameter.data_ptr() for parameter in stage.parameters().values()}
    assert len(used) == len(opened.tensors)


def test_another_compute_type_converts_the_parameters(llama: Path) -> None:
    stage = open_stage(llama, LayerRange(0, 1), compute=DataType.BFLOAT16)
    assert stage.dtype is DataType.BFLOAT16
    assert {parameter.dtype for parameter in stage.parameters().values()} == {torch.bfloat16}


def test_stage_states_what_it_is(llama: Path) -> None:
    stage = open_stage(llama, LayerRange(2, 3), kv_tokens=100)
    assert (stage.is_first, stage.is_last, stage.hidden_size, stage.vocabulary_size) == (False, False, 128, 512)
    assert stage.capacity == 96
    assert stage.kv_bytes == 2 * 2 * 4 * 16 * 4 * 96
    assert stage.layers == LayerRange(2, 3)


def test_building_a_stage_needs_no_network(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    open_stage(llama, LayerRange(0, 5))


def test_two_stages_are_never_built_at_the_same_time(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Transformers replaces methods of its own classes while it builds; two at once would leave them replaced."""
    build, tie = PreTrainedModel.from_pretrained.__func__, PreTrainedModel.tie_weights
    building: list[int] = []
    most = 0

    def watched(*arguments: object, **options: object) -> Any:
        nonlocal most
        building.append(1)
        most = max(most, len(building))
        try:
            return build(*arguments, **options)
        finally:
            building.pop()

    monkeypatch.setattr(PreTrainedModel, "from_pretrained", classmethod(watched))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda layer: open_stage(llama, LayerRange(layer, layer)), [0, 1, 2, 3] * 2))
    assert most == 1
    assert PreTrainedModel.tie_weights is tie


def test_checkpoints_without_the_base_models_prefix(tmp_path: Path) -> None:
    """The original GPT-2 files say `h.0.…` where transformers now writes `transformer.h.0.…`."""
    folder = build_model(tmp_path, "gpt2")
    prompts = seeded_prompts(9)
    expected = decode_alone(folder, prompts, 8)
    config = (folder / "config.json").read_bytes()
    stages = []
    for layers in (LayerRange(0, 2), LayerRange(3, 5)):
        opened = open_slice(folder, layers).tensors
        bare = {name.removeprefix("transformer."): view for name, view in opened.items()}
        stages.append(build_stage(config, layers, bare, DataType.FLOAT32, 64))
    assert decode_together(stages, prompts, 8) == expected


def test_text_part_of_a_model_that_also_sees(tmp_path: Path) -> None:
    """Gemma 3 wraps its text model: config in `text_config`, tensors below `language_model`."""
    folder = build_model(tmp_path, "gemma3")
    prompts = seeded_prompts(20)
    expected = decode_alone(folder, prompts, 8)
    text = json.loads((folder / "config.json").read_bytes())
    wrapped = json.dumps({"model_type": "gemma3", "text_config": text, "tie_word_embeddings": True}).encode()
    stages = []
    for layers in (LayerRange(0, 2), LayerRange(3, 5)):
        opened = {f"language_model.{name}": view for name, view in open_slice(folder, layers).tensors.items()}
        stages.append(build_stage(wrapped, layers, opened, DataType.FLOAT32, 64))
    assert decode_together(stages, prompts, 8) == expected


def _build(folder: Path, layers: LayerRange, change: Callable[[dict[str, TensorView]], object]) -> None:
    opened = dict(open_slice(folder, layers).tensors)
    change(opened)
    build_stage((folder / "config.json").read_bytes(), layers, opened, DataType.FLOAT32, 64)


def _widen(opened: dict[str, TensorView]) -> None:
    view = opened["model.layers.1.mlp.up_proj.weight"]
    opened["model.layers.1.mlp.up_proj.weight"] = TensorView(view.dtype, view.shape[::-1], view.data)


_BROKEN: dict[str, Callable[[dict[str, TensorView]], object]] = {
    "missing": lambda opened: opened.pop("model.layers.1.mlp.up_proj.weight"),
    "unexpected": lambda opened: opened.update({"model.extra.weight": opened["model.layers.0.mlp.up_proj.weight"]}),
    "other layer": lambda opened: opened.update({"model.layers.9.a": opened["model.layers.0.mlp.up_proj.weight"]}),
    "other shape": _widen,
}


@pytest.mark.parametrize("change", _BROKEN.values(), ids=_BROKEN.keys())
def test_slice_that_does_not_fit_its_config_is_refused(
    llama: Path, change: Callable[[dict[str, TensorView]], object]
) -> None:
    with pytest.raises(ArtifactError):
        _build(llama, LayerRange(0, 1), change)


def test_read_only_memory_is_refused(llama: Path) -> None:
    """A mapped file could change after it was verified."""

    def map_read_only(opened: dict[str, TensorView]) -> None:
        name = "model.layers.0.mlp.up_proj.weight"
        opened[name] = TensorView(opened[name].dtype, opened[name].shape, opened[name].data.toreadonly())

    with pytest.raises(UsageError):
        _build(llama, LayerRange(0, 1), map_read_only)


_REFUSED: list[tuple[dict[str, Any], type[Exception]]] = [
    ({"model_type": "none_such"}, UnsupportedModelError),
    ({"model_type": None}, UnsupportedModelError),
    ({"model_type": "bert"}, UnsupportedModelError),
    ({"auto_map": {"AutoModel": "modeling.Model"}}, UnsupportedModelError),
    ({"quantization_config": {"quant_method": "bitsandbytes"}}, UnsupportedModelError),
    ({"fusion_config": {"patch": True}}, UnsupportedModelError),
    ({"num_hidden_layers": 10**9}, ArtifactError),
    ({"num_hidden_layers": "6"}, ArtifactError),
    ({"hidden_size": "wide"}, ArtifactError),
    ({"num_hidden_layers": 1}, ArtifactError),
    ({"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}, UnsupportedModelError),
    ({"is_encoder_decoder": True}, UnsupportedModelError),
]


@pytest.mark.parametrize(("change", "error"), _REFUSED, ids=lambda value: str(value)[:40])
def test_config_that_would_run_something_else_is_refused(
    llama: Path, change: dict[str, Any], error: type[Exception]
) -> None:
    config = json.dumps({**json.loads((llama / "config.json").read_bytes()), **change}).encode()
    with pytest.raises(error):
        build_stage(config, LayerRange(0, 1), open_slice(llama, LayerRange(0, 1)).tensors, DataType.FLOAT32, 64)


@pytest.mark.parametrize("name", ["attn_implementation", "experts_implementation"])
@pytest.mark.parametrize("prefix", ["", "_"])
def test_config_cannot_choose_kernels(llama: Path, name: str, prefix: str) -> None:
    """transformers can fetch kernels by name from a hub; what a config asks for is not even read."""
    raw = json.loads((llama / "config.json").read_bytes())
    config = read_config(json.dumps({**raw, prefix + name: "someone/kernel"}).encode())
    assert config._attn_implementation is None
    assert config._experts_implementation is None
