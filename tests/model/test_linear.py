"""Packed copies change how fast a stage multiplies, not what it says; and they are counted among what it holds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from mohawk.model.linear import PackedLinear, pack, packed_layers
from mohawk.model.self_test import check_stage
from mohawk.model.stage import Segment, Stage
from mohawk.nouns.model import DataType, LayerRange
from tests.model.opening import open_stage, seeded_prompts

_ALL = LayerRange(0, 5)

pytestmark = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(),
    reason="needs a processor whose bfloat16 oneDNN multiplies (AVX-512)",
)


@pytest.fixture
def stage(llama: Path) -> Stage:
    opened = open_stage(llama, _ALL, compute=DataType.BFLOAT16)
    opened.pack()
    return opened


def test_a_packed_stage_computes_what_the_plain_one_does(llama: Path, stage: Stage) -> None:
    check_stage(stage)
    results = []
    for one in (stage, open_stage(llama, _ALL, compute=DataType.BFLOAT16)):
        for sequence in (1, 2):
            one.reserve(sequence, 64)
        one.run([Segment(1, 0, 30), Segment(2, 0, 12)], seeded_prompts(42)[0])
        results.append(one.run([Segment(1, 30, 1), Segment(2, 12, 1)], [5, 6], [0, 1]).float())
    packed, plain = results
    assert (packed - plain).abs().max() < 0.05 * plain.abs().max()


def test_every_linear_layer_has_a_copy_and_its_parameters_stay(stage: Stage) -> None:
    assert len(stage.packed()) == 6 * 7 + 1
    assert sum(name.endswith("_proj.weight") for name in stage.parameters()) == 6 * 7


@pytest.mark.parametrize("rows", [1, 2, 17])
@pytest.mark.parametrize("bias", [False, True])
def test_rows_of_any_number_and_odd_sizes(rows: int, bias: bool) -> None:
    plain = nn.Linear(30, 70, bias=bias, dtype=torch.bfloat16)
    inputs = torch.randn(1, rows, 30, dtype=torch.bfloat16)
    with torch.inference_mode():
        expected, found = plain(inputs), PackedLinear(plain)(inputs)
    assert found.shape == expected.shape
    assert torch.allclose(expected.float(), found.float(), atol=0.02)


def test_float32_is_left_as_it_is() -> None:
    """Its tokens are promised to be the unsplit model's on plain kernels."""
    model = nn.Sequential(nn.Linear(8, 8))
    pack(model)
    assert packed_layers(model) == []


def test_nothing_of_a_copy_is_left_once_it_was_overwritten(stage: Stage) -> None:
    copies = [layer.copy for layer in stage.packed()]
    assert all(any(copy) for copy in copies)
    stage.overwrite()
    assert not any(any(copy) for copy in copies)
