"""Whatever comes and goes, in whatever order, the batcher keeps the rules of the workers' KV pools, and every sequence
gets the tokens of its solo run.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mohawk.errors import UnavailableError, UsageError
from mohawk.generation.batcher import QUEUE_FACTOR, Batcher, Progress, StepOrder
from mohawk.generation.session import FinishReason, GenerationRequest, Sequence
from mohawk.nouns.model import BLOCK_TOKENS, SamplingParameters

KV_TOKENS = 160
MAXIMUM = 3
BUDGET = 7
END = 0
"""A model with a memory: the next token is a function of the whole history. 0 ends a sequence."""


def next_token(history: list[int]) -> int:
    return (sum((place + 1) * token for place, token in enumerate(history)) + len(history)) % 11


def solo(request: GenerationRequest) -> list[int]:
    sequence = Sequence(0, request)
    while sequence.append(next_token(sequence.history)) is None:
        pass
    return list(sequence.generated)


class Stages:
    """Workers' rules: a reservation fits, a segment continues its own sequence, what closes goes first."""

    def __init__(self) -> None:
        self.rooms: dict[int, int] = {}
        self.tokens: dict[int, list[int]] = {}

    def run(self, order: StepOrder) -> dict[int, int]:
        for closed in order.closed:
            self.rooms.pop(closed, None)
            self.tokens.pop(closed, None)
        for opening in order.openings:
            assert opening.sequence not in self.rooms
            assert opening.reserve_tokens % BLOCK_TOKENS == 0
            self.rooms[opening.sequence] = opening.reserve_tokens
            self.tokens[opening.sequence] = []
        assert sum(self.rooms.values()) <= KV_TOKENS
        assert len({segment.sequence for segment in order.segments}) == len(order.segments)
        assert sum(segment.count for segment in order.segments) == len(order.token_ids) <= BUDGET
        sampled, row = {}, 0
        for segment in order.segments:
            history = self.tokens[segment.sequence]
            assert segment.start == len(history)
            history += order.token_ids[row : row + segment.count]
            row += segment.count
            assert len(history) <= self.rooms[segment.sequence]
            if segment.sample:
                sampled[segment.sequence] = next_token(history)
        return sampled


class BatcherMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.batcher = Batcher(BUDGET, KV_TOKENS, MAXIMUM)
        self.stages = Stages()
        self.sequences: dict[int, Sequence] = {}
        self.received: dict[int, list[int]] = {}
        self.ended: dict[int, FinishReason] = {}
        self.order: StepOrder | None = None

    @rule(prompt=st.lists(st.integers(0, 50), min_size=1, max_size=40), new=st.integers(1, 140))
    def add(self, prompt: list[int], new: int) -> None:
        request = GenerationRequest(tuple(prompt), new, SamplingParameters(), end_of_sequence=frozenset({END}))
        sequence = Sequence(len(self.sequences), request)
        try:
            self.batcher.add(sequence)
        except UsageError:
            assert request.maximum_tokens > KV_TOKENS
        except UnavailableError:
            assert self.batcher.waiting == QUEUE_FACTOR * MAXIMUM
        else:
            self.sequences[sequence.id] = sequence
            self.received[sequence.id] = []

    @precondition(lambda self: self.sequences)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(sorted(self.sequences)))
        self.batcher.cancel(chosen)
        self.ended.setdefault(chosen, FinishReason.CANCELLED)

    @precondition(lambda self: self.order is None)
    @rule()
    def schedule(self) -> None:
        self.order = self.batcher.schedule()

    @precondition(lambda self: self.order is not None)
    @rule()
    def compute(self) -> None:
        assert self.order is not None
        self.take(self.batcher.postprocess(self.order, self.stages.run(self.order)))
        self.order = None

    @precondition(lambda self: self.order is not None)
    @rule(reached=st.booleans())
    def lose(self, reached: bool) -> None:
        """The step is lost, before or after the stages had computed it."""
        assert self.order is not None
        if reached:
            self.stages.run(self.order)
        self.take(self.batcher.fail(self.order, UnavailableError("lost")))
        self.order = None

    def take(self, progress: list[Progress]) -> None:
        for one in progress:
            assert one.sequence not in self.ended
            if one.token is not None:
                self.received[one.sequence].append(one.token)
            if one.finish is not None:
                self.ended[one.sequence] = one.finish
                assert (one.error is not None) == (one.finish is FinishReason.FAILED)

    @invariant()
    def every_token_is_the_solo_runs(self) -> None:
        for number, tokens in self.received.items():
            expected = solo(self.sequences[number].request)
            assert tokens == expected[: len(tokens)]
            if self.ended.get(number) in (FinishReason.STOP, FinishReason.LENGTH):
                assert tokens == expected

    @invariant()
    def the_account_is_within_its_limits(self) -> None:
        assert 0 <= self.batcher.free_blocks <= self.batcher.total_blocks
        assert self.batcher.running <= MAXIMUM
        assert self.batcher.waiting <= QUEUE_FACTOR * MAXIMUM

    def teardown(self) -> None:
        """Left alone, everything ends, and all room comes back."""
        if self.order is not None:
            self.compute()
        for _ in range(4000):
            self.schedule()
            if self.order is None:
                break
            self.compute()
        assert set(self.ended) == set(self.sequences)
        assert self.batcher.free_blocks == self.batcher.total_blocks
        assert self.stages.rooms == {}


BatcherMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBatcher = BatcherMachine.TestCase
