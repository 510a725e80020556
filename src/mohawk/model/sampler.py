"""From logits to tokens, on the last stage.

The state of a sequence is a function of its parameters and the tokens generated so far, and the randomness of a token a
function of seed and position. So a sampler that is built again after a failure goes on exactly as the lost one would
have.

Order: logit bias, penalties, grammar, temperature, top-k, top-p, min-p. Penalties count generated tokens only, for all
three kinds: the prompt is known to the first stage alone, and the last one shall not learn it for a penalty's sake (the
OpenAI API defines presence and frequency so; elsewhere `repetition_penalty` often counts the prompt too).

Extreme values are defined: the best token always remains, whatever the filters say. Logits that are not numbers are an
error, not a token.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from types import MappingProxyType

import torch

from mohawk.errors import MessageError, UnavailableError
from mohawk.model.logprobs import token_logprobs
from mohawk.nouns.model import SamplingParameters
from mohawk.nouns.sampling import TokenLogprobs

NO_MASKS: Mapping[int, bytes] = MappingProxyType({})
_LEAST_SCORE = -1e300
_FEW = 256
_Measure = Callable[[torch.Tensor], torch.Tensor]
"""What each of some weights counts for."""
_DRAW_BITS = 53
"""Bits of a uniform draw: what a float64 holds exactly."""


@dataclass(slots=True)
class _Open:
    """A sequence in generation: what was asked for, and how often each token was generated."""

    parameters: SamplingParameters
    counts: Counter[int]

    @property
    def is_plain(self) -> bool:
        """Greedy without bias and penalties: the argmax of the logits as they are."""
        return self.parameters.is_greedy and not self.parameters.logit_bias and not self.is_penalised

    @property
    def is_penalised(self) -> bool:
        asked = self.parameters
        return bool(asked.presence_penalty or asked.frequency_penalty or asked.repetition_penalty != 1.0)


class Sampler:
    """The sequences that the last stage samples for."""

    def __init__(self) -> None:
        self._open: dict[int, _Open] = {}

    def open(self, sequence: int, parameters: SamplingParameters, generated: Sequence[int]) -> None:
        """Begin, or after a failure go on with, a sequence that has `generated` already. Raises MessageError."""
        if sequence in self._open:
            raise MessageError("a sequence that is sampled already")
        self._open[sequence] = _Open(parameters, Counter(generated))

    def close(self, sequence: int) -> None:
        """Forget a sequence; of an unknown one: nothing."""
        self._open.pop(sequence, None)

    def clear(self) -> None:
        """Forget all sequences."""
        self._open.clear()

    @torch.inference_mode()
    def sample(
        self, logits: torch.Tensor, places: Sequence[tuple[int, int]], masks: Mapping[int, bytes] = NO_MASKS
    ) -> list[int]:
        """logits [n, vocabulary], and for each row its sequence and the position of the token to come -> n token ids.
        `masks`: sequence -> the tokens that may come, bit i (the lowest first) for token i; at least one.

        Raises MessageError on a sequence that is not open, UnavailableError on logits that are not numbers; then no
        sequence has moved.
        """
        if len(places) != logits.shape[0] or len({sequence for sequence, _ in places}) != len(places):
            raise MessageError("logits that do not match the sequences to sample")
        states = [self._find(sequence) for sequence, _ in places]
        best = _check_numbers(logits)
        tokens = [
            greedy if state.is_plain and sequence not in masks else _draw(row, state, position, masks.get(sequence))
            for greedy, row, state, (sequence, position) in zip(best, logits, states, places, strict=True)
        ]
        for state, token in zip(states, tokens, strict=True):
            state.counts[token] += 1
        return tokens

    def describe(
        self, logits: torch.Tensor, places: Sequence[tuple[int, int]], tokens: Sequence[int]
    ) -> list[TokenLogprobs | None]:
        """The logprobs of `tokens`, as `sample` returned them for the same logits, where they were asked for."""
        asked = [self._find(sequence).parameters for sequence, _ in places]
        return [
            token_logprobs(row, token, wanted.top_logprobs) if wanted.logprobs else None
            for row, token, wanted in zip(logits, tokens, asked, strict=True)
        ]

    def _find(self, sequence: int) -> _Open:
        if sequence not in self._open:
            raise MessageError("a sequence that was never opened for sampling")
        return self._open[sequence]


def draw_uniform(seed: int, position: int) -> float:
    """A number in [0, 1) that depends on seed and position alone, on every machine alike."""
    digest = blake2b(position.to_bytes(8, "little"), key=seed.to_bytes(8, "little"), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> (64 - _DRAW_BITS)) / (1 << _DRAW_BITS)


def _check_numbers(logits: torch.Tensor) -> list[int]:
    """The best token of each row. -inf is a token that cannot come; NaN, +inf, or nothing but -inf is a broken
    stage.
    """
    tokens = logits.float().argmax(-1)  # a NaN counts as the largest; torch's own for bfloat16 takes five times longer
    if not torch.isfinite(logits.gather(-1, tokens[:, None])).all():
        raise UnavailableError("the model computed logits that are not numbers", hint="the worker may be faulty")
    return [int(token) for token in tokens]


def _draw(row: torch.Tensor, state: _Open, position: int, mask: bytes | None) -> int:
    """float64 throughout: no parameter within its bounds overflows it."""
    scores = row.to(torch.float64)
    if state.parameters.logit_bias:
        scores = _add_bias(scores, state.parameters)
    if state.is_penalised:
        scores = _penalise(scores, state)
    if mask is not None:
        scores = _restrict(scores, mask)
    if state.parameters.is_greedy:
        return int(scores.argmax())
    tokens, weights = _candidates(scores, state.parameters)
    cumulated = weights.cumsum(0)
    total = float(cumulated[-1])
    target = min(draw_uniform(state.parameters.seed, position) * total, math.nextafter(total, 0.0))
    return int(tokens[int(torch.searchsorted(cumulated, target, right=True))])  # never one that weighs nothing


def _add_bias(scores: torch.Tensor, asked: SamplingParameters) -> torch.Tensor:
    tokens = torch.tensor([entry.token for entry in asked.logit_bias])
    if int(tokens.max()) >= len(scores):
        raise MessageError("a logit bias for a token outside the model's vocabulary")
    bias = torch.tensor([entry.bias for entry in asked.logit_bias], dtype=scores.dtype)
    return scores.index_add(0, tokens, bias)


def _restrict(scores: torch.Tensor, mask: bytes) -> torch.Tensor:
    """Only what the mask allows. An allowed token may come even where the model says never: the answer must go on."""
    bits = torch.frombuffer(bytearray(mask), dtype=torch.uint8)[:, None] >> torch.arange(8, dtype=torch.uint8) & 1
    allowed = bits.flatten()[: len(scores)].bool()
    if len(allowed) < len(scores):
        raise MessageError("a mask of another vocabulary")
    return torch.where(allowed, scores.clamp(min=_LEAST_SCORE), float("-inf"))


def _penalise(scores: torch.Tensor, state: _Open) -> torch.Tensor:
    asked = state.parameters
    if not state.counts:
        return scores
    if min(state.counts) < 0 or max(state.counts) >= len(scores):
        raise MessageError("a history with a token outside the model's vocabulary")
    tokens = torch.tensor(list(state.counts))
    counts = torch.tensor(list(state.counts.values()), dtype=scores.dtype)
    seen = scores[tokens]
    seen = torch.where(seen > 0, seen / asked.repetition_penalty, seen * asked.repetition_penalty)
    scores = scores.clone()
    scores[tokens] = seen - asked.presence_penalty - asked.frequency_penalty * counts
    return scores


def _candidates(scores: torch.Tensor, asked: SamplingParameters) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens that may come, in the vocabulary's order, and their weights (not normalised; the best token weighs 1)."""
    tokens, weights = torch.arange(len(scores)), torch.exp((scores - scores.max()) / asked.temperature)
    if 0 < asked.top_k < len(tokens):
        kept = _find_heaviest(weights, torch.ones_like, asked.top_k)
        tokens, weights = tokens[kept], weights[kept]
    if asked.top_p < 1.0:
        kept = _find_heaviest(weights, torch.Tensor.detach, asked.top_p * float(weights.sum()))
        tokens, weights = tokens[kept], weights[kept]
    if asked.min_p > 0.0:
        kept = torch.nonzero(weights >= asked.min_p).flatten()
        tokens, weights = tokens[kept], weights[kept]
    return tokens, weights


def _find_heaviest(weights: torch.Tensor, measure: _Measure, wanted: float) -> torch.Tensor:
    """Indices, ascending, of the fewest, the heaviest first, that together measure `wanted`; at least one. Of equal
    weights, those that come first.
    """
    least, needed = _find_least(weights, measure, wanted)
    kept = torch.nonzero(weights >= least).flatten()
    is_least = weights[kept] == least
    return kept[~is_least | (is_least.cumsum(0) <= needed)]


def _find_least(weights: torch.Tensor, measure: _Measure, wanted: float) -> tuple[float, int]:
    """The lightest weight that is kept, and how many of that weight are. Mostly a few tokens have all that is
    wanted; the whole vocabulary is never sorted (12 ms a token, of 128k).
    """
    unsettled = weights.topk(min(_FEW, len(weights))).values
    if float(measure(unsettled).sum()) < wanted:
        unsettled, wanted = _narrow(weights, measure, wanted)
    values = unsettled.sort(descending=True).values
    amounts = measure(values)
    count = max(1, int((amounts.cumsum(0) - amounts < wanted).sum()))
    least = float(values[count - 1])
    return least, int((values[:count] == least).sum())


def _narrow(weights: torch.Tensor, measure: _Measure, wanted: float) -> tuple[torch.Tensor, float]:
    """Weights among which the lightest that is kept lies, and what they have to measure: the range in which it can lie
    is halved, in powers, until few are left or all left are equal.
    """
    low, high = float(torch.where(weights > 0, weights, 1.0).min()), 1.0
    unsettled = weights
    while len(unsettled) > _FEW and low < high * (1.0 - 1e-9):
        middle = math.sqrt(low) * math.sqrt(high)
        upper = unsettled[unsettled >= middle]
        amount = float(measure(upper).sum())
        if amount >= wanted or len(upper) == len(unsettled):
            unsettled, low = upper, middle
        else:
            unsettled, high, wanted = unsettled[unsettled < middle], middle, wanted - amount
    return unsettled, wanted
