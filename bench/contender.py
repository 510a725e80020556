"""One contender in a process of its own: decodes a sequence whenever a line arrives, and answers with its step times.

    python -m bench.contender stage|generate MODEL PROMPT_TOKENS NEW_TOKENS

`stage`: the same stage code as the workers', all layers in one process, no network. `generate`: transformers' own
generate().
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch

from mohawk.artifact.tensor_file import header_size, parse_header
from mohawk.checkpoint.reader import read_card
from mohawk.checkpoint.slicer import SliceSource
from mohawk.contract.steps import Opening, StagePart
from mohawk.host.memory import allocate
from mohawk.model.loading import build_stage
from mohawk.model.tensors import TensorView, configure_threads
from mohawk.nouns.model import LayerRange, SamplingParameters
from mohawk.nouns.segment import Segment
from mohawk.worker.runner import Runner


def stage_contender(model: Path, prompt: list[int], count: int) -> Callable[[], list[float]]:
    card = read_card(model)
    source = SliceSource(model, card, LayerRange(0, card.layers - 1))
    memory, filled = allocate(source.size), 0
    for chunk in source.chunks(1 << 20):
        memory.view[filled : filled + len(chunk)] = chunk
        filled += len(chunk)
    start = header_size(bytes(memory.view[:8]), source.size)
    views = {
        record.name: TensorView(record.dtype, record.shape, memory.view[start + record.begin : start + record.end])
        for record in parse_header(bytes(memory.view[:start]), source.size)
    }
    runner = Runner(build_stage((model / "config.json").read_bytes(), source.layers, views, card.dtype, 1024))

    def decode() -> list[float]:
        opening = Opening(1, len(prompt) + count + 16, SamplingParameters(temperature=0.0))
        part = StagePart((Segment(1, 0, len(prompt), True),), tuple(prompt), (opening,))
        times, position = [], len(prompt)
        for _ in range(count + 1):
            token = runner.run(part, bytearray()).tokens[0].token
            times.append(time.perf_counter())
            part = StagePart((Segment(1, position, 1, True),), (token,))
            position += 1
        runner.run(StagePart((), closed=(1,)), bytearray())
        return [after - before for before, after in pairwise(times)]

    return decode


def generate_contender(model: Path, prompt: list[int], count: int) -> Callable[[], list[float]]:
    from transformers import AutoModelForCausalLM
    from transformers.generation.streamers import BaseStreamer

    whole = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16).eval()
    whole.generation_config.eos_token_id = None

    class Clock(BaseStreamer):
        def __init__(self) -> None:
            self.times: list[float] = []

        def put(self, _value: object) -> None:
            self.times.append(time.perf_counter())

        def end(self) -> None:
            pass

    def decode() -> list[float]:
        clock, ids = Clock(), torch.tensor([prompt])
        whole.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=count + 1, do_sample=False, streamer=clock
        )
        times = clock.times[1:]  # the first is the prompt itself
        return [after - before for before, after in pairwise(times)]

    return decode


def main() -> None:
    kind, model, prompt_tokens, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    configure_threads(len(os.sched_getaffinity(0)))
    make = {"stage": stage_contender, "generate": generate_contender}[kind]
    decode = make(model, list(range(5, 5 + prompt_tokens)), count)
    print(json.dumps("ready"), flush=True)
    for _ in sys.stdin:
        print(json.dumps(decode()), flush=True)


if __name__ == "__main__":
    main()
