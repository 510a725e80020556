"""A model family on trial: a small random model of it, cut in two and fed three sequences at once, must equal the plain
whole model fed each alone.

The trial takes the road that serves: checkpoint names, the slicer's table, the same stages, pool and attention.
Equality is in float32, where only a mistake, not rounding, makes a difference of more than 1e-4 in a logit.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache, PretrainedConfig
from transformers.core_model_loading import revert_weight_conversion

from mohawk.errors import UnsupportedModelError
from mohawk.model.families import PER_LAYER, is_sparse, model_class
from mohawk.model.loading import assemble_stage
from mohawk.model.stage import Segment, Stage
from mohawk.nouns.families import Kind, Part, classify
from mohawk.nouns.model import BLOCK_TOKENS, DataType, LayerRange

_TOLERANCE = 1e-4
_NOISE = 0.05
"""Added to every parameter: freshly initialised norms and biases are ones and zeros, which hide mistakes."""

_PROMPTS = (5, 23, 40)
"""Tokens of the three prompts: unequal, and the longer ones beyond the shrunken sliding window."""

_NEW_TOKENS = 8
_HEADS = 8
_LAYERS = 4
_CUT = (LayerRange(0, 1), LayerRange(2, 3))
_MOST_PARAMETERS = 32_000_000
"""A family that names its sizes otherwise would be tried at full size, and take the worker's memory with it."""

_SMALL = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "moe_intermediate_size": 64,
    "shared_expert_intermediate_size": 64,
    "word_embed_proj_dim": 128,
    "head_dim": 16,
    "vocab_size": 512,
    "max_position_embeddings": 512,
    "num_local_experts": 4,
    "num_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "sliding_window": 16,
    "attention_chunk_size": 16,
}


def try_family(config: PretrainedConfig) -> None:
    """Raises UnsupportedModelError with the reason, or whatever the family's code raises. Changes torch's random
    state.
    """
    small = _shrink(config)
    plain = _build_plain(small)
    stages = _build_stages(small, plain)
    vocabulary = small.vocab_size
    prompts = [torch.randint(vocabulary, (count,)).tolist() for count in _PROMPTS]
    expected = [_run_alone(plain, prompt) for prompt in prompts]
    forced = [[int(logits.argmax()) for logits in sequence] for sequence in expected]
    for one, other in zip(expected, _run_together(stages, prompts, forced), strict=True):
        _check_equal(torch.stack(one), torch.stack(other))
    if is_sparse(small):
        # How many rows an expert gets depends on every row of the pass, and rounding depends on how many there are. One
        # row at a time it does not, so there isolation can be shown to the last bit.
        small._experts_implementation = "batched_mm"
        stages = _build_stages(small, plain)
    _check_isolated(stages, prompts, forced, vocabulary)


def _check_isolated(
    stages: Sequence[Stage], prompts: Sequence[list[int]], forced: Sequence[list[int]], vocabulary: int
) -> None:
    """The first sequence's logits do not change by one bit when the others' prompts change."""
    others = [prompts[0], *([(token + 1) % vocabulary for token in prompt] for prompt in prompts[1:])]
    found = [torch.stack(_run_together(stages, choice, forced)[0]) for choice in (prompts, others)]
    if not torch.equal(*found):
        raise UnsupportedModelError("one sequence's tokens change another's results")


def _check_equal(expected: torch.Tensor, found: torch.Tensor) -> None:
    if not (expected - found).abs().max() <= _TOLERANCE:  # NaN compares false, so it is refused here too
        raise UnsupportedModelError("in slices it computes other logits than whole")
    if not torch.equal(expected.argmax(-1), found.argmax(-1)):
        raise UnsupportedModelError("in slices it gives other tokens than whole")


def _shrink(config: PretrainedConfig) -> PretrainedConfig:
    """The same settings in a small size; of the layers, four that show every kind there is."""
    small = copy.deepcopy(config)
    heads = small.num_attention_heads
    kv_heads = getattr(small, "num_key_value_heads", None)
    for name, size in _SMALL.items():
        value = getattr(small, name, None)
        if type(value) is int and value > size:
            setattr(small, name, size)
    small.num_attention_heads = _HEADS
    if kv_heads is not None:
        small.num_key_value_heads = max(1, _HEADS * kv_heads // heads)
    small.pad_token_id = small.bos_token_id = small.eos_token_id = None  # they need not lie in the small vocabulary
    kinds = {name: values for name in PER_LAYER if isinstance(values := getattr(small, name, None), list)}
    chosen = _choose_layers(list(zip(*kinds.values(), strict=True)), small.num_hidden_layers)
    for name, values in kinds.items():
        setattr(small, name, [values[layer] for layer in chosen])
    small.num_hidden_layers = _LAYERS
    small.dtype = torch.float32
    return small


def _choose_layers(kinds: Sequence[object], layers: int) -> list[int]:
    """Four layer numbers, the first of each kind among them; a number may come twice in a model of fewer layers."""
    if not kinds:
        return [0] * _LAYERS
    firsts = [kinds.index(kind) for kind in dict.fromkeys(kinds)][:_LAYERS]
    rest = [layer for layer in range(layers) if layer not in firsts]
    return sorted((firsts + rest + firsts * _LAYERS)[:_LAYERS])


def _build_plain(config: PretrainedConfig) -> Any:
    """The whole model with transformers' own plain attention."""
    config = copy.deepcopy(config)
    config._attn_implementation = "eager"
    with torch.device("meta"):
        size = sum(parameter.numel() for parameter in model_class(config)(config).parameters())
    if size > _MOST_PARAMETERS:
        raise UnsupportedModelError("no small model of it can be made to test it with")
    torch.manual_seed(0)
    model = model_class(config)(config).float().eval().requires_grad_(requires_grad=False)
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter) * _NOISE)
    return model


def _build_stages(config: PretrainedConfig, plain: Any) -> list[Stage]:
    saved = revert_weight_conversion(plain, plain.state_dict())
    parts = {name: classify(name, config.model_type) for name in saved}
    return [
        assemble_stage(
            copy.deepcopy(config),
            layers,
            {
                name: saved[name]
                for name, part in parts.items()
                if _is_needed(part, layers, tied=config.tie_word_embeddings)
            },
            DataType.FLOAT32,
            sum(_PROMPTS) + len(_PROMPTS) * (_NEW_TOKENS + BLOCK_TOKENS),
        )
        for layers in _CUT
    ]


def _is_needed(part: Part, layers: LayerRange, *, tied: bool) -> bool:
    """The slicer's rule: embeddings go to the first slice, norm and head to the last, a tied head as the embedding."""
    is_first, is_last = layers.first == 0, layers.last == _LAYERS - 1
    match part.kind:
        case Kind.LAYER:
            return part.layer is not None and part.layer in layers
        case Kind.EMBEDDING:
            return is_first or (is_last and tied)
        case Kind.POSITION:
            return is_first
        case Kind.NORM:
            return is_last
        case Kind.HEAD:
            return is_last and not tied
        case Kind.DROPPED:
            return False


@torch.inference_mode()
def _run_alone(model: Any, prompt: list[int]) -> list[torch.Tensor]:
    """Logits [vocabulary] of each new token, greedily."""
    cache = DynamicCache(config=model.config)
    tokens, found = prompt, []
    for _ in range(_NEW_TOKENS):
        logits = model(torch.tensor([tokens]), past_key_values=cache, use_cache=True).logits[0, -1]
        found.append(logits)
        tokens = [int(logits.argmax())]
    return found


def _run_together(
    stages: Sequence[Stage], prompts: Sequence[list[int]], forced: Sequence[list[int]]
) -> list[list[torch.Tensor]]:
    """Logits of each new token, the sequences joining one pass after the other: prompts and steps mix."""
    for stage in stages:
        for sequence, prompt in enumerate(prompts):
            stage.reserve(sequence, len(prompt) + _NEW_TOKENS)
    found: list[list[torch.Tensor]] = [[] for _ in prompts]
    for number in range(len(prompts) - 1 + _NEW_TOKENS):
        segments, rows = _next_pass(number, prompts, forced)
        ends = [sum(s.count for s in segments[: index + 1]) - 1 for index in range(len(segments))]
        output: Sequence[int] | torch.Tensor = rows
        for stage in stages:
            output = stage.run(segments, output, ends if stage.is_last else ())
        for segment, logits in zip(segments, output, strict=True):
            found[segment.sequence].append(torch.as_tensor(logits))
    for stage in stages:
        for sequence in range(len(prompts)):
            stage.free(sequence)
    return found


def _next_pass(
    number: int, prompts: Sequence[list[int]], forced: Sequence[list[int]]
) -> tuple[list[Segment], list[int]]:
    """Sequence s joins in pass s with its prompt, and then takes one token in each pass."""
    segments, rows = [], []
    for sequence, prompt in enumerate(prompts):
        done = number - sequence
        if 0 <= done < _NEW_TOKENS:
            new = prompt if done == 0 else [forced[sequence][done - 1]]
            segments.append(Segment(sequence, 0 if done == 0 else len(prompt) + done - 1, len(new)))
            rows += new
    return segments, rows
