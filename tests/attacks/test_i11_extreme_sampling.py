"""I11: sampling parameters at and beyond their bounds, with hostile logits.

Stimulus: every parameter at an extreme of its range (temperature down to the smallest positive number, top_p 0, min_p
1, a top_k of a million, penalties at both ends, a history outside the vocabulary), over flat, steep and half-forbidden
logits. Outcome: a token of the vocabulary, or a typed error; the engine goes on.
Defence: mohawk/model/sampler.py:_draw computes in float64 and relative to the best token; removed (float32, or logits
divided by the temperature as they are), no candidate is left or all are NaN, and an IndexError ends the worker's step for
everybody in it. History: mohawk/model/sampler.py:_penalise; removed, token -1 penalises the vocabulary's last token and a
larger one is an IndexError. Bias: mohawk/model/sampler.py:_add_bias; removed its bound, a bias for a token outside the
vocabulary is an IndexError.
Beyond the bounds: mohawk/nouns/model.py:SamplingParameters.__post_init__; removed, a temperature of NaN samples from NaN.
"""

from __future__ import annotations

from itertools import product

import pytest
import torch

from mohawk.errors import MessageError, UsageError
from mohawk.model.sampler import Sampler
from mohawk.nouns.model import SamplingParameters
from mohawk.nouns.sampling import LogitBias

_VOCABULARY = 64
_LOGITS = {
    "flat": torch.zeros(_VOCABULARY),
    "steep": torch.linspace(-1e30, 1e30, _VOCABULARY),
    "largest": torch.full((_VOCABULARY,), 3.4e38),
    "half forbidden": torch.where(torch.arange(_VOCABULARY) % 2 == 0, float("-inf"), -3e38),
    "tiny": torch.linspace(0, 1e-40, _VOCABULARY),
}
_EXTREMES = [
    SamplingParameters(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        presence_penalty=additive,
        frequency_penalty=additive,
        repetition_penalty=repetition,
        seed=(1 << 63) - 1,
    )
    for temperature, top_k, top_p, min_p, additive, repetition in product(
        (0.0, 5e-324, 1e-30, 2.0), (0, 1, 1 << 20), (0.0, 5e-324, 1.0), (0.0, 1.0), (-2.0, 2.0), (0.01, 10.0)
    )
]


@pytest.mark.parametrize("logits", _LOGITS.values(), ids=_LOGITS.keys())
def test_extremes_give_a_token_of_the_vocabulary(logits: torch.Tensor) -> None:
    sampler = Sampler()
    for sequence, parameters in enumerate(_EXTREMES):
        sampler.open(sequence, parameters, [1, 3, 3, 5] * 1000)
    places = [(sequence, (1 << 40) + sequence) for sequence in range(len(_EXTREMES))]
    tokens = sampler.sample(logits.expand(len(places), -1), places)
    assert all(0 <= token < _VOCABULARY for token in tokens)
    assert all(logits[token] > float("-inf") for token in tokens)


@pytest.mark.parametrize("generated", [[-1], [_VOCABULARY], [1 << 62]])
def test_a_history_outside_the_vocabulary_is_a_typed_error(generated: list[int]) -> None:
    sampler = Sampler()
    sampler.open(1, SamplingParameters(presence_penalty=1.0), generated)
    with pytest.raises(MessageError):
        sampler.sample(torch.zeros(1, _VOCABULARY), [(1, 0)])


@pytest.mark.parametrize("token", [_VOCABULARY, 1 << 31])
def test_a_bias_outside_the_vocabulary_is_a_typed_error(token: int) -> None:
    sampler = Sampler()
    sampler.open(1, SamplingParameters(logit_bias=(LogitBias(token, 1.0),)), [])
    with pytest.raises(MessageError):
        sampler.sample(torch.zeros(1, _VOCABULARY), [(1, 0)])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("temperature", -0.1),
        ("top_p", 1.0000001),
        ("min_p", -1e-9),
        ("repetition_penalty", 0.0),
        ("presence_penalty", -1e309),
        ("seed", 1 << 63),
    ],
)
def test_values_beyond_the_bounds_cannot_be_made(field: str, value: float) -> None:
    with pytest.raises(UsageError) as refusal:
        SamplingParameters(**{field: value})  # type: ignore[arg-type]
    assert refusal.value.field == field
