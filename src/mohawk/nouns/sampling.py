"""What may be asked of a token's choice beside the usual numbers, and what may be told of it."""

from __future__ import annotations

from dataclasses import dataclass

from mohawk.errors import MessageError

MAXIMUM_LOGIT_BIASES = 300
"""OpenAI's own bound."""
MAXIMUM_LOGIT_BIAS = 100.0
MAXIMUM_TOP_LOGPROBS = 20
MAXIMUM_GRAMMAR = 16 << 10
"""Bytes. It travels to the last stage with the sequence, and again after a failure."""
MAXIMUM_ENDS = 64
LEAST_LOGPROB = -9999.0
"""Stands for minus infinity, which JSON cannot spell; OpenAI's number."""


@dataclass(frozen=True, slots=True)
class LogitBias:
    """`bias` is added to the token's logit. Bounds are checked where it is used, in SamplingParameters."""

    token: int
    bias: float


@dataclass(frozen=True, slots=True)
class Grammar:
    """What an answer must keep to. `text`: llguidance's JSON; `ends`: the tokens that may end the answer, once it does.
    Bounds are checked where it is used, in SamplingParameters.
    """

    text: str
    ends: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """How likely a token was: the natural logarithm of its probability, and the likeliest `tokens` with theirs, best
    first. Of the logits as the model computed them, before bias, penalties, temperature and grammar.

    Raises MessageError: it is a worker's word.
    """

    chosen: float
    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.tokens) != len(self.logprobs) or len(self.tokens) > MAXIMUM_TOP_LOGPROBS:
            raise MessageError("logprobs that do not match their tokens, or too many")
        if not all(LEAST_LOGPROB <= value <= 0.0 for value in (self.chosen, *self.logprobs)):  # refuses NaN too
            raise MessageError("a logprob that is not the logarithm of a probability")
