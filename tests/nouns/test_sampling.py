"""What a stage may say of a token's likelihood, and what may be added to a logit."""

from __future__ import annotations

import pytest

from mohawk.errors import MessageError, UsageError
from mohawk.nouns.model import SamplingParameters
from mohawk.nouns.sampling import LogitBias, TokenLogprobs


@pytest.mark.parametrize(
    "arguments",
    [
        (0.1,),
        (float("nan"),),
        (float("-inf"),),
        (-1.0, (1,), ()),
        (-1.0, (1,), (float("nan"),)),
        (-1.0, tuple(range(21)), (-1.0,) * 21),
    ],
)
def test_impossible_logprobs_are_the_peers_lie(arguments: tuple[object, ...]) -> None:
    with pytest.raises(MessageError):
        TokenLogprobs(*arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "bias",
    [
        (LogitBias(1, float("nan")),),
        (LogitBias(1, 100.1),),
        (LogitBias(-1, 0.0),),
        (LogitBias(1, 1.0), LogitBias(1, 2.0)),
        tuple(LogitBias(token, 1.0) for token in range(301)),
    ],
)
def test_a_logit_bias_is_bounded(bias: tuple[LogitBias, ...]) -> None:
    with pytest.raises(UsageError) as refusal:
        SamplingParameters(logit_bias=bias)
    assert refusal.value.field == "logit_bias"
