"""The promise that slicing rests on: however the model is cut, and whoever else is in the pass, greedy tokens are those
of the unsplit, plain transformers model run on each prompt alone (float32).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from mohawk.model.stage import Segment
from mohawk.nouns.model import DataType, LayerRange
from tests.model.opening import decode_alone, decode_together, open_chain, open_stage, run_chain, seeded_prompts
from tests.support.models import FAMILIES

_PROMPTS = (1, 17, 200)
_NEW_TOKENS = 64


@cache
def _expected(folder: Path) -> list[list[int]]:
    return decode_alone(folder, seeded_prompts(*_PROMPTS), _NEW_TOKENS)


@pytest.mark.parametrize("cuts", [(0, 6), (0, 3, 6), (0, 1, 4, 6)], ids=["one slice", "two slices", "three slices"])
@pytest.mark.parametrize("family", [*FAMILIES, "mistral", "gemma2"])
def test_tokens_equal_the_unsplit_model(
    model_folder: Callable[[str], Path], family: str, cuts: tuple[int, ...]
) -> None:
    folder = model_folder(family)
    found = decode_together(open_chain(folder, cuts), seeded_prompts(*_PROMPTS), _NEW_TOKENS)
    assert found == _expected(folder)
    assert all(len(set(tokens)) > 8 for tokens in found), "a model that repeats itself would prove nothing"


def test_bfloat16_in_slices_equals_bfloat16_whole_bit_by_bit(model_folder: Callable[[str], Path]) -> None:
    """Cutting moves no number: with equal passes, two slices compute exactly what one does, in the wire's type too."""
    folder = model_folder("llama")
    prompt = seeded_prompts(17)[0]
    results = []
    for ranges in ([LayerRange(0, 5)], [LayerRange(0, 1), LayerRange(2, 5)]):
        stages = [open_stage(folder, layers, compute=DataType.BFLOAT16) for layers in ranges]
        for stage in stages:
            stage.reserve(0, 32)
        results.append([run_chain(stages, [Segment(0, 0, 17)], prompt), run_chain(stages, [Segment(0, 17, 1)], [5])])
    for whole, sliced in zip(*results, strict=True):
        assert whole.equal(sliced)
