"""Claim: a stage with packed weights takes at most 0.8x the time of a plain one for 8 decoding sequences, and no longer
for one.

    python -m bench.bench_stage [--rounds 9] [--length 64]

The last half of the 0.5B model with random weights, bfloat16, one thread. Both stages lie in this process and take
turns; time is this thread's processor time, so that what else runs on the machine shows little.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from bench.machine import describe_machine, write_result
from bench.models import SHAPE
from mohawk.model.loading import assemble_stage
from mohawk.model.stage import Segment, Stage
from mohawk.model.tensors import configure_threads
from mohawk.nouns.model import DataType, LayerRange

_LAYERS = LayerRange(14, 27)
_SEQUENCES = (1, 4, 8, 16, 32)


def make_stages(tokens: int) -> dict[str, Stage]:
    """A plain stage and a packed one."""
    whole = LlamaForCausalLM(LlamaConfig(**SHAPE)).to(torch.bfloat16)
    owned = [f"model.layers.{layer}." for layer in range(_LAYERS.first, _LAYERS.last + 1)]
    tensors = {
        name: tensor
        for name, tensor in whole.state_dict().items()
        if name.startswith((*owned, "model.norm.", "lm_head."))
    }
    stages = {
        kind: assemble_stage(LlamaConfig(**SHAPE), _LAYERS, tensors, DataType.BFLOAT16, tokens)
        for kind in ("plain", "packed")
    }
    stages["packed"].pack()
    return stages


def measure(stages: dict[str, Stage], count: int, length: int, rounds: int) -> dict[str, float]:
    """Milliseconds of one decoding pass over `count` sequences of `length` tokens, and the ratio."""
    times: dict[str, list[float]] = {kind: [] for kind in stages}
    for stage in stages.values():
        for sequence in range(count):
            stage.reserve(sequence, length + rounds + 1)
            stage.run([Segment(sequence, 0, length)], _rows(length))
    for number in range(rounds + 1):
        rows = _rows(count)
        segments = [Segment(sequence, length + number, 1) for sequence in range(count)]
        for kind, stage in stages.items():
            begin = time.thread_time()
            stage.run(segments, rows, range(count))
            times[kind].append(time.thread_time() - begin)
    for stage in stages.values():
        for sequence in range(count):
            stage.free(sequence)
    ratios = [packed / plain for packed, plain in zip(times["packed"][1:], times["plain"][1:], strict=True)]
    figures = {f"{kind}_ms": round(statistics.median(values[1:]) * 1e3, 1) for kind, values in times.items()}
    return figures | {"ratio": round(statistics.median(ratios), 3)}


def _rows(count: int) -> torch.Tensor:
    return (torch.randn(count, int(str(SHAPE["hidden_size"]))) * 0.1).to(torch.bfloat16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--length", type=int, default=64)
    arguments = parser.parse_args()
    configure_threads(1)
    torch.manual_seed(0)
    stages = make_stages(_SEQUENCES[-1] * (arguments.length + arguments.rounds + 32))
    found = {count: measure(stages, count, arguments.length, arguments.rounds) for count in _SEQUENCES}
    write_result("stage", describe_machine() | {"decoding_sequences": found})


if __name__ == "__main__":
    main()
