"""One pass: what comes in is checked before a kernel sees it, and sequences do not see each other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mohawk.errors import MessageError, UnavailableError, UnsupportedModelError, UsageError
from mohawk.model import attention
from mohawk.model.stage import Segment, Stage
from mohawk.nouns.model import DataType, LayerRange
from tests.model.opening import open_chain, open_stage, run_chain, seeded_prompts

_ALL = LayerRange(0, 5)


@pytest.fixture
def stage(llama: Path) -> Stage:
    whole = open_stage(llama, _ALL)
    whole.reserve(1, 64)
    return whole


@pytest.fixture
def middle(llama: Path) -> Stage:
    part = open_stage(llama, LayerRange(2, 3))
    part.reserve(1, 64)
    return part


@pytest.mark.parametrize("token", [-1, 512, 1 << 40])
def test_token_outside_the_vocabulary_is_the_callers_mistake(stage: Stage, token: int) -> None:
    with pytest.raises(UsageError):
        stage.run([Segment(1, 0, 2)], [3, token], [1])
    assert stage.run([Segment(1, 0, 2)], [3, 4], [1]).shape == (1, 512)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_activations_that_are_not_finite_are_refused_and_leave_no_history(middle: Stage, value: float) -> None:
    rows = torch.zeros(2, 128)
    rows[1, 77] = value
    with pytest.raises(MessageError):
        middle.run([Segment(1, 0, 2)], rows)
    assert middle.run([Segment(1, 0, 2)], torch.zeros(2, 128)).shape == (2, 128)


@pytest.mark.parametrize(
    "rows",
    [torch.zeros(2, 127), torch.zeros(3, 128), torch.zeros(2, 128, dtype=torch.bfloat16), torch.zeros(2), [3, 4]],
    ids=["hidden size", "row count", "type", "flat", "token ids"],
)
def test_activations_of_another_shape_are_refused(middle: Stage, rows: torch.Tensor | list[int]) -> None:
    with pytest.raises(MessageError):
        middle.run([Segment(1, 0, 2)], rows)


def test_rows_that_do_not_match_the_segments_are_refused(stage: Stage) -> None:
    for rows in ([3], torch.zeros(2, 128)):
        with pytest.raises(MessageError):
            stage.run([Segment(1, 0, 2)], rows, [0])


def test_a_sequence_cannot_outgrow_the_context_or_the_pool(stage: Stage) -> None:
    with pytest.raises(UsageError):
        stage.reserve(2, 513)
    stage.reserve(2, 512)
    with pytest.raises(UnavailableError):
        stage.reserve(3, 512)


def test_head_runs_only_on_rows_that_sample(stage: Stage) -> None:
    stage.reserve(2, 64)
    segments = [Segment(1, 0, 5), Segment(2, 0, 3)]
    tokens = seeded_prompts(8)[0]
    assert stage.run(segments, tokens, [7]).shape == (1, 512)
    assert stage.run([Segment(1, 5, 1)], [9]).shape == (0, 512)


def test_another_sequences_tokens_change_nothing_not_by_one_bit(llama: Path) -> None:
    stages = open_chain(llama, (0, 3, 6))
    ours = seeded_prompts(20)[0]
    results = []
    for other in (7, 8):
        for stage in stages:
            stage.reserve(1, 64)
            stage.reserve(2, 64)
        first = run_chain(stages, [Segment(2, 0, 30), Segment(1, 0, 20)], [other] * 30 + ours)
        second = run_chain(stages, [Segment(1, 20, 1), Segment(2, 30, 4)], [5] + [other] * 4)
        results.append((first[1], second[0]))
        for stage in stages:
            stage.free(1)
            stage.free(2)
    assert all(one.equal(other) for one, other in zip(*results, strict=True))


def test_long_prompts_in_pieces_equal_the_prompt_at_once(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunked prefill by the caller, and in pieces of query rows within attention."""
    prompt = seeded_prompts(100)[0]
    whole = open_stage(llama, _ALL)
    whole.reserve(1, 100)
    expected = whole.run([Segment(1, 0, 100)], prompt, [99])
    monkeypatch.setattr(attention, "_QUERY_ROWS", 16)
    pieces = open_stage(llama, _ALL)
    pieces.reserve(1, 100)
    pieces.run([Segment(1, 0, 37)], prompt[:37])
    found = pieces.run([Segment(1, 37, 63)], prompt[37:], [62])
    assert torch.allclose(expected, found, atol=1e-4)


@pytest.mark.parametrize("rows", [1, 2])
def test_one_row_in_bfloat16_takes_torchs_own_kernel(llama: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    stage = open_stage(llama, _ALL, compute=DataType.BFLOAT16)
    stage.reserve(1, 64)
    seen = []
    attend = attention._attend_segment
    monkeypatch.setattr(
        attention, "_attend_segment", lambda *args: (seen.append(torch.backends.mkldnn.enabled), attend(*args))[1]
    )
    stage.run([Segment(1, 0, rows)], [5] * rows, [0])
    assert seen == [rows > 1] * 6
    assert torch.backends.mkldnn.enabled


def test_fast_kernels_keep_to_a_tolerance(llama: Path) -> None:
    """bfloat16 with its own kernels against float32: the same numbers within bfloat16's rounding."""
    results = []
    for compute in (DataType.FLOAT32, DataType.BFLOAT16):
        stage = open_stage(llama, _ALL, compute=compute)
        stage.reserve(1, 64)
        stage.run([Segment(1, 0, 30)], seeded_prompts(30)[0])
        results.append(stage.run([Segment(1, 30, 1)], [5], [0]).float())
    exact, fast = results
    assert (exact - fast).abs().max() < 0.15 * exact.abs().max()


def test_a_pass_whose_layers_did_not_call_our_attention_is_refused(stage: Stage) -> None:
    """What a family that ignores the registered function does: rows would attend to each other's."""
    stage._decoder.config._attn_implementation = "sdpa"
    with pytest.raises(UnsupportedModelError, match="do not call the attention"):
        stage.run([Segment(1, 0, 2)], [3, 4], [1])


@pytest.mark.parametrize(
    "arguments",
    [
        {"attention_mask": torch.zeros(1)},
        {"head_mask": torch.ones(1)},
        {"dropout": 0.1},
        {"is_causal": False},
        {"position_bias": torch.zeros(1)},
        {"output_attentions": True},
        {"mohawk_pass": None},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_attention_refuses_what_it_would_have_to_ignore(stage: Stage, arguments: dict[str, object]) -> None:
    pool = stage._pool
    current = attention.Pass(pool, pool.place([Segment(1, 0, 1)]))
    module = torch.nn.Module()
    module.layer_idx = 0  # type: ignore[assignment]
    query, key = torch.zeros(1, 8, 1, 16), torch.zeros(1, 4, 1, 16)
    neutral = {"attention_mask": None, "mohawk_pass": current, "position_ids": torch.zeros(1), "use_cache": False}
    attention.pool_attention(module, query, key, key, **neutral)
    with pytest.raises(UnsupportedModelError):
        attention.pool_attention(module, query, key, key, **{**neutral, **arguments})
    with pytest.raises(UnsupportedModelError):
        attention.pool_attention(module, query, key[:, :1], key[:, :1], **neutral)
