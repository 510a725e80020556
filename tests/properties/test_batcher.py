"""Whatever comes, goes and is lost, in whatever order, the batcher keeps the rules of the workers' KV pools, and every
sequence gets the tokens of its solo run.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mohawk.errors import UnavailableError, UsageError
from mohawk.generation.batcher import QUEUE_FACTOR, Batcher, Progress
from mohawk.generation.orders import OpeningOrder, StepOrder
from mohawk.generation.session import Caller, FinishReason, GenerationRequest, Priority, Sequence
from mohawk.nouns.model import BLOCK_TOKENS, SamplingParameters

KV_TOKENS = 160
MAXIMUM = 3
BUDGET = 20
STAGES = 2
END = 0
"""A model with a memory: the next token is a function of the whole history. 0 ends a sequence."""


def next_token(history: list[int]) -> int:
    return (sum((place + 1) * token for place, token in enumerate(history)) + len(history)) % 11


def solo(request: GenerationRequest) -> list[int]:
    sequence = Sequence(0, request)
    while sequence.append(next_token(sequence.history)) is None:
        pass
    return list(sequence.generated)


class RefusedError(Exception):
    """A stage was asked for what breaks the rules of its pool."""


def require(is_kept: bool) -> None:
    if not is_kept:
        raise RefusedError


class Stage:
    """A worker's rules (`model.kv_pool`): room is there, a segment continues its own sequence, a copy was computed."""

    def __init__(self) -> None:
        self.rooms: dict[int, int] = {}
        self.tokens: dict[int, list[int]] = {}
        self.sampled: set[int] = set()

    def run(self, order: StepOrder) -> dict[int, int]:
        for closed in order.closed:
            for held in (self.rooms, self.tokens):
                held.pop(closed, None)
            self.sampled.discard(closed)
        self.sampled -= set(order.retired)
        for growth in order.growths:
            require(growth.sequence in self.rooms and growth.reserve_tokens % BLOCK_TOKENS == 0)
            self.rooms[growth.sequence] = max(self.rooms[growth.sequence], growth.reserve_tokens)
            require(sum(self.rooms.values()) <= KV_TOKENS)
        for opening in order.openings:
            self.open(opening)
        return self.compute(order)

    def open(self, opening: OpeningOrder) -> None:
        require(opening.sequence not in self.rooms and opening.reserve_tokens % BLOCK_TOKENS == 0)
        source = opening.source
        known: list[int] = []
        room = opening.reserve_tokens
        if source is not None:
            require(0 < source.tokens <= len(self.tokens.get(source.donor, ())))
            known = self.tokens[source.donor][: source.tokens]
            if source.adopts:
                room = max(room, self.rooms.pop(source.donor))
                del self.tokens[source.donor]
                self.sampled.discard(source.donor)
        self.rooms[opening.sequence], self.tokens[opening.sequence] = room, known
        self.sampled.add(opening.sequence)
        require(sum(self.rooms.values()) <= KV_TOKENS and len(known) <= room)

    def compute(self, order: StepOrder) -> dict[int, int]:
        """Nothing of a refused step counts."""
        tokens = {number: list(held) for number, held in self.tokens.items()}
        sampled, row = {}, 0
        for segment in order.segments:
            history = tokens.get(segment.sequence, [])
            require(segment.sequence in self.rooms and segment.start == len(history))
            history += order.token_ids[row : row + segment.count]
            row += segment.count
            require(len(history) <= self.rooms[segment.sequence])
            if segment.sample:
                require(segment.sequence in self.sampled)
                sampled[segment.sequence] = next_token(history)
        self.tokens = tokens
        return sampled


class BatcherMachine(RuleBasedStateMachine):
    @initialize(depth=st.integers(1, 3))
    def begin(self, depth: int) -> None:
        self.batcher = Batcher(BUDGET, KV_TOKENS, MAXIMUM, salt=b"salt", depth=depth)
        self.stages = [Stage() for _ in range(STAGES)]
        self.sequences: dict[int, Sequence] = {}
        self.received: dict[int, list[int]] = {}
        self.ended: dict[int, FinishReason] = {}
        self.flying: list[StepOrder] = []
        self.has_lost = False

    @rule(
        prompt=st.lists(st.integers(1, 2), min_size=1, max_size=60),
        new=st.integers(1, 100),
        tenant=st.sampled_from("ab"),
        priority=st.sampled_from(list(Priority)),
        session=st.sampled_from([None, "one", "two"]),
    )
    def add(self, prompt: list[int], new: int, tenant: str, priority: Priority, session: str | None) -> None:
        caller = Caller(tenant, priority, session)
        request = GenerationRequest(tuple(prompt), new, SamplingParameters(), (), frozenset({END}), caller)
        self.submit(request)

    @precondition(lambda self: self.ended)
    @rule(data=st.data(), more=st.lists(st.integers(1, 2), max_size=5), new=st.integers(1, 40))
    def go_on(self, data: st.DataObject, more: list[int], new: int) -> None:
        """The next turn of a conversation, or another that begins like it."""
        earlier = self.sequences[data.draw(st.sampled_from(sorted(self.ended)))]
        prompt = (*earlier.history[: data.draw(st.integers(1, len(earlier.history)))], *more)
        self.submit(GenerationRequest(prompt, new, SamplingParameters(), (), frozenset({END}), earlier.request.caller))

    def submit(self, request: GenerationRequest) -> None:
        sequence = Sequence(len(self.sequences), request)
        try:
            self.batcher.add(sequence)
        except UsageError:
            assert request.maximum_tokens > KV_TOKENS
        except UnavailableError:
            assert self.batcher.waiting >= QUEUE_FACTOR * MAXIMUM
        else:
            self.sequences[sequence.id] = sequence
            self.received[sequence.id] = []

    @precondition(lambda self: self.sequences)
    @rule(data=st.data(), is_complete=st.booleans())
    def leave(self, data: st.DataObject, is_complete: bool) -> None:
        """A reader leaves, or a stop string came."""
        chosen = data.draw(st.sampled_from(sorted(self.sequences)))
        if is_complete:
            self.batcher.finish(chosen)
        else:
            self.batcher.cancel(chosen)
        self.ended.setdefault(chosen, FinishReason.CANCELLED)

    @rule(session=st.sampled_from(["one", "two"]))
    def end_session(self, session: str) -> None:
        self.batcher.end_session(session)

    @rule()
    def schedule(self) -> None:
        order = self.batcher.schedule()
        if order is not None:
            assert sum(segment.count for segment in order.segments) == len(order.token_ids) <= BUDGET
            assert len({segment.sequence for segment in order.segments}) == len(order.segments)
            self.flying.append(order)

    @precondition(lambda self: self.flying)
    @rule()
    def compute(self) -> None:
        order = self.flying.pop(0)
        try:
            sampled = [stage.run(order) for stage in self.stages]
        except RefusedError:
            assert self.has_lost, "the account and the pools disagree"
            self.take(self.batcher.fail(order, UnavailableError("refused")))
        else:
            self.take(self.batcher.postprocess(order, sampled[-1], 0.01))

    @precondition(lambda self: self.flying)
    @rule(reached=st.integers(0, STAGES))
    def lose(self, reached: int) -> None:
        """The oldest step is lost, after so many stages had computed it."""
        self.has_lost = True
        order = self.flying.pop(0)
        try:
            for stage in self.stages[:reached]:
                stage.run(order)
        except RefusedError:
            pass
        self.take(self.batcher.fail(order, UnavailableError("lost")))

    @rule()
    def repair(self) -> None:
        """The chain is another one: its stages hold nothing."""
        self.batcher.restart()
        self.stages = [Stage() for _ in range(STAGES)]
        self.flying.clear()

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
        batcher = self.batcher
        assert 0 <= batcher.kv_tokens_used <= batcher.kv_tokens_used + batcher.kv_tokens_retained <= KV_TOKENS
        assert batcher.running <= MAXIMUM
        assert len(self.flying) == batcher.in_flight <= batcher.depth

    def teardown(self) -> None:
        """Left alone, everything ends, and what the stages hold is what the account says is kept."""
        if not hasattr(self, "batcher"):
            return
        for _ in range(4000):
            self.schedule()
            if not self.flying:
                break
            self.compute()
        assert set(self.ended) == set(self.sequences)
        assert self.batcher.kv_tokens_used == 0
        for stage in self.stages:
            assert sum(stage.rooms.values()) == self.batcher.kv_tokens_retained
            assert stage.sampled <= stage.rooms.keys()


BatcherMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestBatcher = BatcherMachine.TestCase
