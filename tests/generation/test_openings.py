"""What one step opens fits its header: grammars and histories are large."""

from __future__ import annotations

from mohawk.contract.codec import encode_part
from mohawk.contract.steps import Opening, StagePart
from mohawk.generation.batcher import OPENING_BYTES, Batcher
from mohawk.generation.session import GenerationRequest, Sequence
from mohawk.nouns.model import SamplingParameters
from mohawk.nouns.sampling import MAXIMUM_GRAMMAR, MAXIMUM_LOGIT_BIASES, Grammar, LogitBias

LARGEST = SamplingParameters(
    grammar=Grammar("x" * MAXIMUM_GRAMMAR, (2,)),
    logit_bias=tuple(LogitBias((1 << 32) - 1 - token, 99.9) for token in range(MAXIMUM_LOGIT_BIASES)),
)

EMPTY = len(encode_part(StagePart(())))


def test_large_openings_are_spread_over_steps() -> None:
    batcher = Batcher(256, 1 << 16, 64)
    for number in range(1, 33):
        batcher.add(Sequence(number, GenerationRequest((1, 2), 4, LARGEST)))
    opened = 0
    for _ in range(64):
        order = batcher.schedule()
        if order is None:
            break
        opened += len(order.openings)
        openings = tuple(Opening(one.sequence, one.reserve_tokens, one.sampling) for one in order.openings)
        written = len(encode_part(StagePart((), openings=openings)))
        sizes = [one.size for one in order.openings]
        assert written - EMPTY <= sum(sizes) < OPENING_BYTES + max(sizes, default=0)
        assert written < 200 << 10
        batcher.postprocess(order, {segment.sequence: 9 for segment in order.segments if segment.sample})
    assert opened == 32
