"""The unsplit model in a process of its own, by plain transformers: what the slices are compared with.

    python -m mohawk.model.whole FOLDER < request.json > answer.json

Request: {"prompts": [[token ids]], "new_tokens": [n], "cuts": [last layer of each slice but the final one]}.
Answer: {"tokens": [[ids]], "rows": [[float]]}, rows being activations at the cuts, the last position of each prompt.
float32, greedy.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging


def answer(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Greedy continuations of `request["prompts"]`, and the activations at its cuts."""
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    tokens, rows = [], []
    for prompt, count in zip(request["prompts"], request["new_tokens"], strict=True):
        ids = torch.tensor([prompt])
        tokens.append(_continue(model, ids, count))
        rows += _activations(model, ids, request["cuts"])
    return {"tokens": tokens, "rows": rows}


@torch.inference_mode()
def _continue(model: Any, ids: torch.Tensor, count: int) -> list[int]:
    output = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False)
    return [int(token) for token in output[0, ids.shape[1] :]]


@torch.inference_mode()
def _activations(model: Any, ids: torch.Tensor, cuts: list[int]) -> list[list[float]]:
    states = model(ids, output_hidden_states=True).hidden_states
    return [[float(value) for value in states[cut + 1][0, -1]] for cut in cuts]


if __name__ == "__main__":
    json.dump(answer(Path(sys.argv[1]), json.load(sys.stdin)), sys.stdout)
