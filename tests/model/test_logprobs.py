"""Logprobs are those of the model's own logits, whatever the sampler makes of them."""

from __future__ import annotations

import pytest
import torch

from mohawk.model.logprobs import token_logprobs
from mohawk.model.sampler import Sampler
from mohawk.nouns.model import SamplingParameters
from mohawk.nouns.sampling import LEAST_LOGPROB, LogitBias


def test_logprobs_are_the_log_softmax_and_the_best_come_first() -> None:
    row = torch.tensor([0.0, 3.0, 1.0, 2.0])
    expected = torch.log_softmax(row, 0)
    told = token_logprobs(row, 2, 3)
    assert told.tokens == (1, 3, 2)
    assert told.chosen == pytest.approx(float(expected[2]))
    assert told.logprobs == pytest.approx([float(expected[token]) for token in told.tokens])


def test_a_token_that_cannot_come_has_the_least_logprob() -> None:
    told = token_logprobs(torch.tensor([0.0, float("-inf")]), 1, 2)
    assert told.chosen == LEAST_LOGPROB
    assert told.logprobs == (0.0, LEAST_LOGPROB)


def test_more_alternatives_than_tokens() -> None:
    assert len(token_logprobs(torch.zeros(3), 0, 20).tokens) == 3


def test_bias_changes_the_token_and_not_its_logprobs() -> None:
    sampler = Sampler()
    bias = (LogitBias(0, 100.0),)
    sampler.open(1, SamplingParameters(temperature=0.0, logit_bias=bias, logprobs=True, top_logprobs=1), [])
    sampler.open(2, SamplingParameters(temperature=0.0), [])
    logits = torch.tensor([[0.0, 3.0, 1.0]]).repeat(2, 1)
    places = [(1, 0), (2, 0)]
    tokens = sampler.sample(logits, places)
    assert tokens == [0, 1]
    told, nothing = sampler.describe(logits, places, tokens)
    assert nothing is None
    assert told is not None
    assert told == token_logprobs(logits[0], 0, 1)
    assert told.tokens == (1,)


def test_a_forbidding_bias_keeps_a_token_out() -> None:
    sampler = Sampler()
    sampler.open(1, SamplingParameters(temperature=2.0, logit_bias=(LogitBias(1, -100.0),)), [])
    assert all(sampler.sample(torch.zeros(1, 2), [(1, place)]) == [0] for place in range(50))
