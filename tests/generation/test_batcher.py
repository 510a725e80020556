"""Which tokens the next step computes. Orders of events that are hard to guess are in tests/properties/test_batcher.py."""

from __future__ import annotations

import pytest

from mohawk.errors import MessageError, UnavailableError, UsageError
from mohawk.generation.batcher import Batcher, OpeningOrder, Progress, SegmentOrder, StepOrder
from mohawk.generation.session import FinishReason, GenerationRequest, Sequence
from mohawk.nouns.model import SamplingParameters

GREEDY = SamplingParameters(temperature=0.0)
END = 99


def make_sequence(number: int, prompt: int = 3, new: int = 4) -> Sequence:
    """Its prompt's tokens are 100 times its number and up."""
    tokens = tuple(range(100 * number, 100 * number + prompt))
    return Sequence(number, GenerationRequest(tokens, new, GREEDY, end_of_sequence=frozenset({END})))


def make_batcher(*sequences: Sequence, budget: int = 8, kv_tokens: int = 64, maximum: int = 4) -> Batcher:
    batcher = Batcher(budget, kv_tokens, maximum)
    for sequence in sequences:
        batcher.add(sequence)
    return batcher


def scheduled(batcher: Batcher) -> StepOrder:
    order = batcher.schedule()
    assert order is not None
    return order


def step(batcher: Batcher, token: int = 7) -> tuple[StepOrder, list[Progress]]:
    """Schedule and compute one step, in which `token` is sampled for everybody."""
    order = scheduled(batcher)
    return order, batcher.postprocess(order, {s.sequence: token for s in order.segments if s.sample})


def shape(order: StepOrder) -> list[tuple[int, int, int, bool]]:
    return [(s.sequence, s.start, s.count, s.sample) for s in order.segments]


def test_nothing_to_do_is_no_step() -> None:
    assert make_batcher().schedule() is None


def test_the_road_of_one_sequence() -> None:
    batcher = make_batcher(make_sequence(1, new=2))
    order, progress = step(batcher)
    assert order == StepOrder(
        number=1,
        segments=(SegmentOrder(1, 0, 3, sample=True),),
        token_ids=(100, 101, 102),
        openings=(OpeningOrder(1, 16, GREEDY, ()),),
        closed=(),
    )
    assert progress == [Progress(1, 7)]
    order, progress = step(batcher, 8)
    assert (shape(order), order.token_ids, order.openings) == ([(1, 3, 1, True)], (7,), ())
    assert progress == [Progress(1, 8, FinishReason.LENGTH)]
    assert step(batcher)[0] == StepOrder(3, (), (), (), closed=(1,))
    assert batcher.schedule() is None


def test_the_end_of_sequence_ends_it() -> None:
    batcher = make_batcher(make_sequence(1))
    assert step(batcher, END)[1] == [Progress(1, END, FinishReason.STOP)]
    assert batcher.running == 0


def test_decoding_goes_before_prompts_and_prompts_are_cut_to_the_budget() -> None:
    batcher = make_batcher(make_sequence(1, prompt=2))
    step(batcher)
    batcher.add(make_sequence(2, prompt=11))
    assert shape(step(batcher)[0]) == [(1, 2, 1, True), (2, 0, 7, False)]
    assert shape(step(batcher)[0]) == [(1, 3, 1, True), (2, 7, 4, True)]
    assert shape(step(batcher)[0]) == [(1, 4, 1, True), (2, 11, 1, True)]


def test_a_prompt_in_pieces_brings_no_progress_before_its_last() -> None:
    batcher = make_batcher(make_sequence(1, prompt=20))
    assert [len(step(batcher)[1]) for _ in range(3)] == [0, 0, 1]


def test_nobody_overtakes_a_sequence_that_waits_for_room() -> None:
    batcher = make_batcher(make_sequence(1, new=40), make_sequence(2, new=40), make_sequence(3, new=1))
    order, _ = step(batcher)
    assert [opening.sequence for opening in order.openings] == [1]
    assert (batcher.running, batcher.waiting, batcher.kv_tokens_used) == (1, 2, 48)
    batcher.cancel(1)
    order, _ = step(batcher)
    assert order.closed == (1,)
    assert [opening.sequence for opening in order.openings] == [2, 3]


def test_a_sequence_that_can_never_fit_is_the_callers_fault() -> None:
    with pytest.raises(UsageError) as refusal:
        make_batcher(make_sequence(1, prompt=60, new=5))
    assert refusal.value.field == "max_tokens"
    make_batcher(make_sequence(1, prompt=60, new=4))


def test_a_full_queue_is_a_503() -> None:
    batcher = make_batcher(*(make_sequence(number) for number in range(2)), maximum=1)
    with pytest.raises(UnavailableError):
        batcher.add(make_sequence(2))
    step(batcher)
    batcher.add(make_sequence(2))


def test_cancelling_while_waiting_leaves_no_trace() -> None:
    sequence = make_sequence(1)
    batcher = make_batcher(sequence)
    batcher.cancel(1)
    batcher.cancel(1)
    batcher.cancel(5)
    assert sequence.finish is FinishReason.CANCELLED
    assert batcher.schedule() is None


def test_cancelling_in_flight_drops_the_token_and_closes() -> None:
    batcher = make_batcher(make_sequence(1), make_sequence(2))
    order = scheduled(batcher)
    batcher.cancel(1)
    assert [one.sequence for one in batcher.postprocess(order, {1: 7, 2: 7})] == [2]
    assert scheduled(batcher).closed == (1,)


def test_a_lost_step_ends_all_its_sequences_and_closes_everything_again() -> None:
    batcher = make_batcher(make_sequence(1, new=1), make_sequence(2))
    step(batcher)
    batcher.add(make_sequence(3))
    order = scheduled(batcher)
    assert (order.closed, [opening.sequence for opening in order.openings]) == ((1,), [3])
    error = UnavailableError("worker lost")
    assert batcher.fail(order, error) == [
        Progress(2, None, FinishReason.FAILED, error),
        Progress(3, None, FinishReason.FAILED, error),
    ]
    assert set(scheduled(batcher).closed) == {1, 2, 3}
    assert batcher.free_blocks == batcher.total_blocks


@pytest.mark.parametrize("tokens", [{}, {1: 5}, {1: 5, 2: 5, 3: 5}, {2: 5, 3: 5}])
def test_an_answer_for_other_sequences_changes_nothing(tokens: dict[int, int]) -> None:
    """The last stage is a peer: what it says is checked."""
    batcher = make_batcher(make_sequence(1), make_sequence(2))
    order = scheduled(batcher)
    with pytest.raises(MessageError):
        batcher.postprocess(order, tokens)
    assert [one.token for one in batcher.postprocess(order, {1: 5, 2: 6})] == [5, 6]


def test_one_step_at_a_time() -> None:
    batcher = make_batcher(make_sequence(1))
    order = scheduled(batcher)
    with pytest.raises(UsageError):
        batcher.schedule()
    batcher.postprocess(order, {1: 5})
    with pytest.raises(UsageError):
        batcher.postprocess(order, {1: 5})


@pytest.mark.parametrize(("budget", "kv_tokens", "maximum"), [(0, 64, 1), (4, 64, 5), (4, 15, 1), (4, 64, 0)])
def test_limits_that_cannot_work_are_refused(budget: int, kv_tokens: int, maximum: int) -> None:
    with pytest.raises(UsageError):
        Batcher(budget, kv_tokens, maximum)
