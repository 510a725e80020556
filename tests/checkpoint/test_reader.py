"""Folders as transformers writes them become cards; what we cannot or will not run is refused with a reason and a hint."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import safe_open

from mohawk.checkpoint.reader import INDEX, SINGLE, read_card, read_side_files
from mohawk.errors import ArtifactError, HostError, UnsupportedModelError, UsageError
from mohawk.nouns.model import DataType
from tests.support.folders import SHAPES, change_config, tensors_bytes, write_folder, write_index
from tests.support.models import EXTRA_FAMILIES, FAMILIES

TIED = {"llama_tied", "gemma3", "gpt2", "gemma2", "falcon"}


@pytest.mark.parametrize("family", [*FAMILIES, *EXTRA_FAMILIES])
def test_card_of_each_family(real_model: Callable[..., Path], family: str):
    card = read_card(real_model(family))

    assert card.layers == 6
    assert card.hidden_size == 128
    assert card.vocabulary_size == 512
    assert card.tied == (family in TIED)
    assert card.end_of_sequence == (2,)
    assert card.dtype is DataType.FLOAT32


def test_card_agrees_with_transformers_on_heads_and_context(real_model: Callable[..., Path]):
    from transformers import AutoConfig

    for family in FAMILIES:
        theirs = AutoConfig.from_pretrained(real_model(family))
        card = read_card(real_model(family))
        assert card.family == theirs.model_type
        assert card.context_length == theirs.max_position_embeddings
        assert card.head_dim == getattr(theirs, "head_dim", 128 // theirs.num_attention_heads)
        assert card.kv_heads == getattr(theirs, "num_key_value_heads", theirs.num_attention_heads)


def test_shards_and_single_file_hold_the_same_tensors(real_model: Callable[..., Path]):
    single = read_card(real_model("llama", "bfloat16"))
    sharded = read_card(real_model("llama", "bfloat16", "200KB"))

    assert len({tensor.file for tensor in sharded.tensors}) > 3
    assert single.dtype is DataType.BFLOAT16
    assert {t.name: (t.dtype, t.shape) for t in single.tensors} == {t.name: (t.dtype, t.shape) for t in sharded.tensors}
    assert single.weight_bytes == sharded.weight_bytes


def test_offsets_point_at_the_tensors_bytes(real_model: Callable[..., Path]):
    path = real_model("qwen3")
    data = (path / SINGLE).read_bytes()

    with safe_open(path / SINGLE, "np") as theirs:
        for tensor in read_card(path).tensors:
            assert data[tensor.begin : tensor.end] == theirs.get_tensor(tensor.name).tobytes()


def test_a_gemma_that_sees_is_read_as_its_text_model(tmp_path: Path):
    import torch
    from transformers import AutoModelForImageTextToText, Gemma3Config, SiglipVisionConfig

    from tests.support.models import build_config, write_tokenizer

    vision = SiglipVisionConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
    )
    config = Gemma3Config(text_config=build_config("gemma3"), vision_config=vision, mm_tokens_per_image=4)
    AutoModelForImageTextToText.from_config(config, dtype=torch.float32).save_pretrained(tmp_path / "gemma")
    write_tokenizer(tmp_path / "gemma")

    card = read_card(tmp_path / "gemma")

    assert (card.family, card.layers, card.tied) == ("gemma3_text", 6, True)
    assert not any("vision" in tensor.name or "projector" in tensor.name for tensor in card.tensors)


def test_revision_is_the_digest_of_what_sha256sum_says(folder: Path):
    names = ["chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    contents = [(folder / name).read_bytes() for name in names]
    lines = [
        f"{hashlib.sha256(data).hexdigest()} {len(data)} {name}\n" for name, data in zip(names, contents, strict=True)
    ]

    assert read_card(folder).revision == hashlib.sha256("".join(lines).encode()).hexdigest()


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "chat_template.jinja"])
def test_revision_changes_with_every_file(folder: Path, name: str):
    before = read_card(folder).revision
    data = bytearray((folder / name).read_bytes())
    data[-2] ^= 1 if name == "model.safetensors" else 0
    (folder / name).write_bytes(bytes(data) + (b"" if name == "model.safetensors" else b"\n"))

    assert read_card(folder).revision != before


def test_progress_reaches_the_total(folder: Path):
    seen: list[tuple[int, int]] = []
    read_card(folder, progress=lambda done, total: seen.append((done, total)))

    assert seen[-1][0] == seen[-1][1] == sum(path.stat().st_size for path in folder.iterdir())
    assert seen == sorted(seen)


def test_the_model_is_named_after_its_folder_or_by_the_caller(folder: Path):
    assert read_card(folder).model_id == "tiny"
    assert read_card(folder, model_id="Other-1.5").model_id == "Other-1.5"
    with pytest.raises(UsageError):
        read_card(folder, model_id="../tiny")


def test_side_files_are_those_that_exist(folder: Path):
    assert sorted(read_side_files(folder)) == [
        "chat_template.jinja",
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_generation_config_says_what_ends_a_sequence(folder: Path):
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 5]}))

    assert read_card(folder).end_of_sequence == (2, 5)


def test_no_folder_is_the_callers_fault(tmp_path: Path):
    with pytest.raises(UsageError):
        read_card(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_needed_side_file_is_named(folder: Path, name: str):
    (folder / name).unlink()

    with pytest.raises(UnsupportedModelError, match=name.replace(".", r"\.")) as caught:
        read_card(folder)
    assert caught.value.hint
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.gguf"])
def test_weights_of_other_formats_alone_are_refused(folder: Path, name: str):
    (folder / SINGLE).rename(folder / name)

    with pytest.raises(UnsupportedModelError) as caught:
        read_card(folder)
    assert caught.value.hint


@pytest.mark.parametrize(
    "changes",
    [
        {"quantization_config": {"quant_method": "gptq"}},
        {"is_encoder_decoder": True},
        {"text_config": {"model_type": "llama", "quantization_config": {"bits": 4}}},
    ],
)
def test_models_that_compute_otherwise_are_refused(folder: Path, changes: dict[str, object]):
    change_config(folder, **changes)

    with pytest.raises(UnsupportedModelError):
        read_card(folder)


def test_an_adapter_is_no_model(folder: Path):
    (folder / "adapter_config.json").write_text("{}")

    with pytest.raises(UnsupportedModelError, match="adapter"):
        read_card(folder)


def test_a_missing_head_must_be_declared_tied(folder: Path):
    headless = {name: shape for name, shape in SHAPES.items() if name != "lm_head.weight"}
    (folder / SINGLE).write_bytes(tensors_bytes(headless))

    with pytest.raises(ArtifactError, match="head"):
        read_card(folder)
    change_config(folder, tie_word_embeddings=None)  # silent: Llama's own default is untied
    with pytest.raises(ArtifactError, match="head"):
        read_card(folder)
    change_config(folder, tie_word_embeddings=True)
    assert read_card(folder).tied


def test_an_own_head_wins_over_a_declared_tie(folder: Path):
    change_config(folder, tie_word_embeddings=True)

    assert not read_card(folder).tied


@pytest.mark.parametrize(
    "changes",
    [
        {"vocab_size": 511},
        {"model_type": None},
        {"model_type": "a/b"},
        {"hidden_size": None},
        {"hidden_size": True},
        {"num_attention_heads": 0},
        {"max_position_embeddings": "64"},
        {"eos_token_id": 512},
        {"eos_token_id": [2, "x"]},
    ],
)
def test_configs_that_contradict_themselves_are_broken(folder: Path, changes: dict[str, object]):
    change_config(folder, **changes)

    with pytest.raises(ArtifactError):
        read_card(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_side_file_beyond_its_limit_is_not_parsed(folder: Path, name: str):
    with (folder / name).open("r+b") as file:
        file.truncate(1 << 30)  # sparse: nothing is allocated here, and nothing may be by the reader

    with pytest.raises(ArtifactError, match="more than"):
        read_card(folder)


def test_index_and_shards_must_agree_both_ways(tmp_path: Path):
    folder = write_folder(tmp_path / "m", shards=2)
    index = json.loads((folder / INDEX).read_text())["weight_map"]
    assert len(read_card(folder).tensors) == len(SHAPES)

    for broken in (
        {name: file for name, file in index.items() if name != "model.norm.weight"},
        index | {"model.extra.weight": "model-00001-of-00002.safetensors"},
        dict.fromkeys(index, "model-00001-of-00002.safetensors"),
        {},
        {"a": 1},
        {"a": "weights.bin"},
    ):
        write_index(folder, broken)
        with pytest.raises(ArtifactError):
            read_card(folder)


def test_a_total_size_that_is_wrong_is_refused(tmp_path: Path):
    folder = write_folder(tmp_path / "m", shards=2)
    index = json.loads((folder / INDEX).read_text())["weight_map"]
    total = read_card(folder).weight_bytes

    write_index(folder, index, total_size=total)
    read_card(folder)
    write_index(folder, index, total_size=total + 1)
    with pytest.raises(ArtifactError, match="total size"):
        read_card(folder)


def test_one_name_in_two_shards_is_refused(tmp_path: Path):
    folder = write_folder(tmp_path / "m", shards=2)
    (folder / "model-00001-of-00002.safetensors").write_bytes(tensors_bytes(SHAPES))

    with pytest.raises(ArtifactError):
        read_card(folder)


def test_a_missing_shard_says_so(tmp_path: Path):
    folder = write_folder(tmp_path / "m", shards=2)
    (folder / "model-00002-of-00002.safetensors").unlink()

    with pytest.raises(ArtifactError, match="missing"):
        read_card(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything; run as another user")
def test_an_unreadable_file_is_this_hosts_fault(folder: Path):
    (folder / "config.json").chmod(0)

    with pytest.raises(HostError):
        read_card(folder)


def test_reading_needs_neither_torch_nor_transformers(folder: Path):
    script = (
        "import sys; from pathlib import Path; from mohawk.checkpoint import reader, slicer, tokenizer, template\n"
        f"card = reader.read_card(Path({str(folder)!r}))\n"
        f"sides = reader.read_side_files(Path({str(folder)!r}))\n"
        "tokenizer.Tokenizer(sides, 512, 64).encode('hello')\n"
        "bad = {'torch', 'transformers', 'numpy', 'safetensors'} & set(sys.modules)\n"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
