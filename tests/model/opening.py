"""Model folders opened as a worker opens a slice: through the card, the slicer and our own header parser."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from mohawk.artifact.tensor_file import header_size, parse_header
from mohawk.checkpoint.reader import read_card
from mohawk.checkpoint.slicer import SliceSource
from mohawk.model.loading import build_stage
from mohawk.model.stage import Segment, Stage
from mohawk.model.tensors import TensorView
from mohawk.model.turns import BUILDING
from mohawk.nouns.model import DataType, LayerRange


@dataclass(frozen=True)
class OpenedSlice:
    """A slice's bytes in one buffer, and its tensors as views of it."""

    buffer: bytearray
    tensors: dict[str, TensorView]


def open_slice(folder: Path, layers: LayerRange) -> OpenedSlice:
    source = SliceSource(folder, read_card(folder, model_id="test"), layers)
    buffer = bytearray(b"".join(source.chunks(1 << 20)))
    start = header_size(bytes(buffer[:8]), len(buffer))
    content = memoryview(buffer)
    records = parse_header(bytes(buffer[:start]), len(buffer))
    views = {
        record.name: TensorView(record.dtype, record.shape, content[start + record.begin : start + record.end])
        for record in records
    }
    return OpenedSlice(buffer, views)


def open_stage(
    folder: Path, layers: LayerRange, *, compute: DataType = DataType.FLOAT32, kv_tokens: int = 1024
) -> Stage:
    config = (folder / "config.json").read_bytes()
    return build_stage(config, layers, open_slice(folder, layers).tensors, compute, kv_tokens)


def open_chain(folder: Path, cuts: Sequence[int], *, kv_tokens: int = 1024) -> list[Stage]:
    """`cuts` (0, 3, 6) -> stages of layers 0-2 and 3-5."""
    ranges = [LayerRange(first, end - 1) for first, end in pairwise(cuts)]
    return [open_stage(folder, layers, kv_tokens=kv_tokens) for layers in ranges]


def run_chain(stages: Sequence[Stage], segments: Sequence[Segment], tokens: Sequence[int]) -> torch.Tensor:
    """One pass down the chain; logits of each segment's last row."""
    ends, row = [], -1
    for segment in segments:
        row += segment.count
        ends.append(row)
    rows: Any = list(tokens)
    for stage in stages:
        rows = stage.run(segments, rows, ends if stage.is_last else ())
    return rows


def decode_together(stages: Sequence[Stage], prompts: Sequence[Sequence[int]], new_tokens: int) -> list[list[int]]:
    """Greedy tokens of all prompts, sequence s joining in pass 2s: prompts and steps of others mix in a pass."""
    for stage in stages:
        for sequence, prompt in enumerate(prompts):
            stage.reserve(sequence, len(prompt) + new_tokens)
    outputs: list[list[int]] = [[] for _ in prompts]
    for segments, rows in _passes(prompts, outputs, new_tokens):
        for segment, logits in zip(segments, run_chain(stages, segments, rows), strict=True):
            outputs[segment.sequence].append(int(logits.argmax()))
    return outputs


def _passes(
    prompts: Sequence[Sequence[int]], outputs: list[list[int]], new_tokens: int
) -> Iterator[tuple[list[Segment], list[int]]]:
    number = 0
    while any(len(output) < new_tokens for output in outputs):
        segments, rows = [], []
        for sequence, (prompt, output) in enumerate(zip(prompts, outputs, strict=True)):
            if number >= 2 * sequence and len(output) < new_tokens:
                new = [output[-1]] if output else list(prompt)
                start = len(prompt) + len(output) - 1 if output else 0
                segments.append(Segment(sequence, start, len(new)))
                rows += new
        number += 1
        yield segments, rows


@torch.inference_mode()
def decode_alone(folder: Path, prompts: Sequence[Sequence[int]], new_tokens: int) -> list[list[int]]:
    """Greedy tokens of the unsplit, plain transformers model, one prompt after the other."""
    from transformers import AutoModelForCausalLM, DynamicCache

    with BUILDING:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    outputs = []
    for prompt in prompts:
        cache, new, found = DynamicCache(config=model.config), list(prompt), []
        for _ in range(new_tokens):
            logits = model(torch.tensor([new]), past_key_values=cache, use_cache=True, logits_to_keep=1).logits[0, -1]
            found.append(int(logits.argmax()))
            new = found[-1:]
        outputs.append(found)
    return outputs


def seeded_prompts(*lengths: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(3, 500, (length,), generator=generator).tolist() for length in lengths]
