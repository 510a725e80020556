"""What a stage must show before it serves, on the very path that serves. Closed by default: whatever fails, or raises,
is a reason to refuse.

Why: some families ignore a registered attention function with only a log line. Their rows then attend to each other, so
one user's prompt leaks into another's answer, and history is lost. Nothing else would notice.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PretrainedConfig

from mohawk.errors import UnsupportedModelError
from mohawk.model.families import read_config
from mohawk.model.family_trial import try_family
from mohawk.model.stage import Segment, Stage
from mohawk.model.tensors import TORCH_TYPES
from mohawk.model.turns import BUILDING
from mohawk.nouns.families import is_known

_FIRST, _SECOND = -1, -2
"""Sequence numbers of the self-test; real ones are not negative."""

_PROMPT, _STEPS = 24, 4


def check_stage(stage: Stage) -> None:
    """Run two sequences through the loaded stage: every layer calls our attention once, numbers are finite, and another
    sequence's tokens change nothing, not by one bit (dense families). Needs an idle pool; leaves it empty.

    Raises UnsupportedModelError.
    """
    prompt = max(2, min(_PROMPT, stage.capacity // 4, stage.context_length - _STEPS))
    try:
        ours = _run_beside(stage, prompt, neighbour_seed=1)
        same = _run_beside(stage, prompt, neighbour_seed=2)
    except UnsupportedModelError:
        raise
    except Exception as error:  # whatever goes wrong in the model is a reason not to serve it
        raise UnsupportedModelError("this stage cannot run: its first pass failed") from error
    if not all(torch.isfinite(output).all() for output in ours):
        raise UnsupportedModelError("this stage computes numbers that are not finite")
    if stage.is_sparse:
        return  # an expert's rounding depends on how many rows it gets; `check_family` shows isolation in another way
    if not all(torch.equal(one, other) for one, other in zip(ours, same, strict=True)):
        raise UnsupportedModelError("in this stage one sequence's tokens change another's results")


def _run_beside(stage: Stage, prompt: int, *, neighbour_seed: int) -> list[torch.Tensor]:
    """The first sequence's results, over a prompt and a few steps, beside a second one with other tokens."""
    generators = torch.Generator().manual_seed(0), torch.Generator().manual_seed(neighbour_seed)
    outputs = []
    try:
        for sequence in (_FIRST, _SECOND):
            stage.reserve(sequence, prompt + _STEPS)
        for start, count in ((0, prompt), *((prompt + step, 1) for step in range(_STEPS))):
            alone = start + 1 == prompt + _STEPS  # the last step, for one row takes other kernels
            sequences = (_FIRST,) if alone else (_FIRST, _SECOND)
            segments = [Segment(sequence, start, count) for sequence in sequences]
            rows = _random_rows(stage, [(source, count) for source, _ in zip(generators, sequences, strict=False)])
            outputs.append(stage.run(segments, rows, range(count) if stage.is_last else ())[:count])
    finally:
        for sequence in (_FIRST, _SECOND):
            stage.free(sequence)
    return outputs


def _random_rows(stage: Stage, parts: Sequence[tuple[torch.Generator, int]]) -> list[int] | torch.Tensor:
    if stage.is_first:
        tokens = [torch.randint(stage.vocabulary_size, (count,), generator=source) for source, count in parts]
        return [int(token) for token in torch.cat(tokens)]
    rows = torch.cat([torch.randn(count, stage.hidden_size, generator=source) for source, count in parts])
    return rows.to(TORCH_TYPES[stage.dtype])


def check_family(config: bytes) -> None:
    """A small random model of the same family and settings, cut in two, three sequences mixed, equals the plain whole
    model run on each alone. Families that our own tests cover pass at once. Takes a second or two.

    Raises UnsupportedModelError with the reason.
    """
    parsed = read_config(config)
    if is_known(parsed.model_type):
        return
    reason = _reason_against(parsed)
    if reason:
        raise UnsupportedModelError(
            f"this model family cannot be served in slices: {reason}",
            hint="Llama, Qwen3, Gemma 3 and GPT-2 are always supported",
            field="model_type",
        )


def _reason_against(config: PretrainedConfig) -> str:
    """Why the family cannot be served; empty when it can."""
    try:
        with BUILDING, torch.random.fork_rng(devices=[]):
            try_family(config)
    except UnsupportedModelError as error:
        return error.message
    except Exception as error:  # noqa: BLE001 - an unknown family may fail in any way, and each is a reason to refuse
        return f"its self-test failed ({type(error.__cause__ or error).__name__})"
    return ""
