"""Sampling: what was asked for, the same again from the same state, and defined for every value within its bounds."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mohawk.errors import MessageError, UnavailableError
from mohawk.model.sampler import Sampler, _candidates, draw_uniform
from mohawk.nouns.model import SamplingParameters
from mohawk.nouns.sampling import LogitBias

_VOCABULARY = 50

_parameters = st.builds(
    SamplingParameters,
    temperature=st.floats(0.0, 2.0),
    top_k=st.integers(0, 1 << 20),
    top_p=st.floats(0.0, 1.0),
    min_p=st.floats(0.0, 1.0),
    presence_penalty=st.floats(-2.0, 2.0),
    frequency_penalty=st.floats(-2.0, 2.0),
    repetition_penalty=st.floats(0.01, 10.0),
    seed=st.integers(0, (1 << 63) - 1),
    logit_bias=st.dictionaries(st.integers(0, _VOCABULARY - 1), st.floats(-100.0, 100.0), max_size=5).map(
        lambda biases: tuple(LogitBias(token, bias) for token, bias in biases.items())
    ),
)
_logits = st.integers(0, 1 << 32).map(
    lambda seed: torch.randn(8, _VOCABULARY, generator=torch.Generator().manual_seed(seed)) * 3
)


def _run(parameters: SamplingParameters, rows: torch.Tensor, generated: list[int], first: int = 0) -> list[int]:
    sampler = Sampler()
    sampler.open(1, parameters, generated)
    return [sampler.sample(row[None], [(1, first + index)])[0] for index, row in enumerate(rows)]


@settings(max_examples=100, deadline=None)
@given(_parameters, _logits, st.integers(0, 8))
def test_a_rebuilt_sampler_goes_on_identically(parameters: SamplingParameters, rows: torch.Tensor, lost: int) -> None:
    """State = f(history, parameters, seed): failover at any step changes no token."""
    tokens = _run(parameters, rows, [])
    assert tokens[:lost] + _run(parameters, rows[lost:], tokens[:lost], first=lost) == tokens


@settings(max_examples=100, deadline=None)
@given(_parameters, _logits)
def test_others_in_the_pass_change_nothing(parameters: SamplingParameters, rows: torch.Tensor) -> None:
    sampler = Sampler()
    sampler.open(1, parameters, [])
    sampler.open(2, SamplingParameters(seed=9), [])
    together = sampler.sample(rows[:2], [(1, 5), (2, 5)])
    assert together[:1] == _run(parameters, rows[:1], [], first=5)


def test_greedy_is_the_argmax() -> None:
    rows = torch.randn(8, _VOCABULARY)
    assert _run(SamplingParameters(temperature=0.0), rows, []) == rows.argmax(-1).tolist()


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([[1.0, 2.0, 0.0, -1.0]])
    expected = torch.softmax(logits[0] / 0.7, -1)
    counts = Counter(_run(SamplingParameters(temperature=0.7, seed=3), logits.expand(4000, -1), []))
    for token, probability in enumerate(expected.tolist()):
        assert abs(counts[token] / 4000 - probability) < 0.03


def test_uniform_draws_depend_on_seed_and_position_alone() -> None:
    assert draw_uniform(1, 2) == draw_uniform(1, 2)
    assert len({draw_uniform(seed, position) for seed in range(30) for position in range(30)}) == 900
    assert all(0.0 <= draw_uniform(seed, 0) < 1.0 for seed in range(1000))


@pytest.mark.parametrize(
    ("parameters", "allowed"),
    [
        (SamplingParameters(top_k=1), {3}),
        (SamplingParameters(top_k=2), {3, 1}),
        (SamplingParameters(top_p=0.0), {3}),
        (SamplingParameters(top_p=0.6), {3}),
        (SamplingParameters(top_p=0.7), {3, 1}),
        (SamplingParameters(min_p=1.0), {3}),
        (SamplingParameters(min_p=0.3), {3, 1}),
        (SamplingParameters(), {0, 1, 2, 3}),
    ],
    ids=str,
)
def test_filters_keep_what_they_say(parameters: SamplingParameters, allowed: set[int]) -> None:
    logits = torch.tensor([[0.05, 0.25, 0.06, 0.64]]).log()
    assert set(_run(parameters, logits.expand(400, -1), [])) == allowed


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 1 << 32), st.sampled_from([3, 300, 2000]), st.floats(1e-3, 2.0), st.data())
def test_filters_keep_what_sorting_the_whole_vocabulary_would(
    seed: int, size: int, temperature: float, data: st.DataObject
) -> None:
    """Sorted by weight, in the vocabulary's order where equal (many are: bfloat16 has few values), then cut."""
    scores = (torch.randn(size, generator=torch.Generator().manual_seed(seed)) * 2).to(torch.bfloat16).double()
    top_k, top_p = data.draw(st.integers(0, size + 1)), data.draw(st.floats(0.0, 1.0))
    weights = torch.exp((scores - scores.max()) / temperature)
    order = torch.argsort(weights, descending=True, stable=True)
    order = order[: top_k or size]
    if top_p < 1.0:
        before = weights[order].cumsum(0) - weights[order]
        order = order[(before < top_p * weights[order].sum()) | (torch.arange(len(order)) == 0)]
    asked = SamplingParameters(temperature=temperature, top_k=top_k, top_p=top_p)
    tokens, kept = _candidates(scores, asked)
    is_likely = weights[order] > 1e-12  # the sum's own rounding decides about less
    assert set(order[is_likely].tolist()) <= set(tokens.tolist())
    assert abs(float(kept.sum()) - float(weights[order].sum())) <= 1e-9 + float(weights[order].min())


def test_ties_are_cut_in_the_order_of_the_vocabulary() -> None:
    assert set(_run(SamplingParameters(top_k=2), torch.zeros(100, _VOCABULARY), [])) == {0, 1}


def test_penalties_count_generated_tokens() -> None:
    logits = torch.tensor([[1.0, 1.5, -1.0]])
    greedy = {"temperature": 0.0}
    assert _run(SamplingParameters(**greedy, presence_penalty=0.6), logits, [1]) == [0]
    assert _run(SamplingParameters(**greedy, frequency_penalty=0.2), logits, [1, 1]) == [1]
    assert _run(SamplingParameters(**greedy, frequency_penalty=0.2), logits, [1, 1, 1]) == [0]
    assert _run(SamplingParameters(**greedy, repetition_penalty=2.0), logits, [1]) == [0]
    assert _run(SamplingParameters(**greedy, repetition_penalty=2.0), -logits, [2]) == [2]
    assert _run(SamplingParameters(**greedy, frequency_penalty=1.0), logits.expand(3, -1), []) == [1, 0, 1]


def test_tokens_that_cannot_come_do_not_come() -> None:
    logits = torch.full((200, _VOCABULARY), float("-inf"))
    logits[:, 7] = -50.0
    logits[:, 9] = -50.0
    parameters = SamplingParameters(temperature=2.0, presence_penalty=-2.0, repetition_penalty=0.01)
    assert set(_run(parameters, logits, [3, 7])) <= {7, 9}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_not_numbers_are_an_error(value: float, temperature: float) -> None:
    rows = torch.zeros(1, _VOCABULARY)
    rows[0, 7] = value
    with pytest.raises(UnavailableError):
        _run(SamplingParameters(temperature=temperature), rows, [])
    with pytest.raises(UnavailableError):
        _run(SamplingParameters(temperature=temperature), torch.full((1, _VOCABULARY), float("-inf")), [])


def test_sequences_are_opened_once_and_closed_for_good() -> None:
    sampler = Sampler()
    sampler.open(1, SamplingParameters(), [])
    with pytest.raises(MessageError):
        sampler.open(1, SamplingParameters(), [])
    sampler.close(1)
    sampler.close(1)
    with pytest.raises(MessageError):
        sampler.sample(torch.zeros(1, _VOCABULARY), [(1, 0)])


def test_rows_match_sequences() -> None:
    sampler = Sampler()
    sampler.open(1, SamplingParameters(), [])
    for rows, places in ((2, [(1, 0)]), (2, [(1, 0), (1, 1)])):
        with pytest.raises(MessageError):
            sampler.sample(torch.zeros(rows, _VOCABULARY), places)
