"""Which tokens the next step computes. Orders of events that are hard to guess are in tests/properties/test_batcher.py."""

from __future__ import annotations

import pytest

from mohawk.errors import MessageError, UnavailableError, UsageError
from mohawk.generation.batcher import QUEUE_FACTOR, Batcher, Progress
from mohawk.generation.orders import GrowthOrder, OpeningOrder, Source, StepOrder
from mohawk.generation.pace import FIRST_LOOK, FIRST_PATIENCE_SECONDS, REFRESH, SMALLEST_PIECE
from mohawk.generation.session import Caller, FinishReason, GenerationRequest, Priority, Sequence
from mohawk.nouns.model import SamplingParameters
from mohawk.nouns.segment import Segment

GREEDY = SamplingParameters(temperature=0.0)
END = 99
ANYBODY = Caller()


def make_sequence(
    number: int, prompt: int = 3, new: int = 4, *, tokens: tuple[int, ...] = (), caller: Caller = ANYBODY
) -> Sequence:
    """Its prompt's tokens are 100 times its number and up."""
    tokens = tokens or tuple(range(100 * number, 100 * number + prompt))
    request = GenerationRequest(tokens, new, GREEDY, end_of_sequence=frozenset({END}), caller=caller)
    return Sequence(number, request)


def make_batcher(
    *sequences: Sequence, budget: int = 8, kv_tokens: int = 64, maximum: int = 4, depth: int = 1
) -> Batcher:
    batcher = Batcher(budget, kv_tokens, maximum, salt=b"salt", depth=depth)
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
        segments=(Segment(1, 0, 3, sample=True),),
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


def test_a_long_prompt_beside_those_who_decode_comes_in_pieces_that_do_not_stall_them() -> None:
    batcher = make_batcher(make_sequence(1, prompt=64, new=9), budget=64, kv_tokens=512)
    batcher.postprocess(scheduled(batcher), {1: 7}, 0.64)  # 0.01 s for each token of a prompt
    batcher.postprocess(scheduled(batcher), {1: 7}, 0.20)  # 0.2 s to decode
    batcher.add(make_sequence(2, prompt=60))
    order = scheduled(batcher)
    assert shape(order) == [(1, 65, 1, True), (2, 0, 12, False)], "60 % of a decoding step, and no more"


def test_a_crowd_of_prompts_is_not_held_up_for_one_reader() -> None:
    batcher = make_batcher(make_sequence(1, prompt=1, new=9), budget=64, kv_tokens=512)
    step(batcher)
    for number in (2, 3):
        batcher.add(make_sequence(number, prompt=20))
    assert shape(scheduled(batcher)) == [(1, 1, 1, True), (2, 0, 20, True), (3, 0, 20, True)]


def test_a_prompt_is_never_starved() -> None:
    batcher = make_batcher(make_sequence(1, prompt=1, new=9), budget=64, kv_tokens=512)
    step(batcher)
    batcher.add(make_sequence(2, prompt=60))
    assert shape(scheduled(batcher))[1] == (2, 0, SMALLEST_PIECE, False)


def test_even_under_a_steady_crowd_some_steps_only_decode_and_are_measured() -> None:
    """Or pieces would stay the smallest, and a step that was lost would be waited for as before anything is known."""
    batcher = make_batcher(make_sequence(1, prompt=2, new=200), budget=64, kv_tokens=1024)
    step(batcher)
    batcher.add(make_sequence(2, prompt=600))
    sizes = []
    for _ in range(60):
        order = scheduled(batcher)
        sizes.append(len(order.token_ids))
        batcher.postprocess(order, {s.sequence: 7 for s in order.segments if s.sample}, 0.2 + 0.01 * sizes[-1])
    assert [index for index, size in enumerate(sizes) if size == 1] == [FIRST_LOOK, FIRST_LOOK + REFRESH + 1]
    assert batcher.pace.patience(1) < FIRST_PATIENCE_SECONDS


def test_a_prompt_in_pieces_brings_no_progress_before_its_last() -> None:
    batcher = make_batcher(make_sequence(1, prompt=20))
    assert [len(step(batcher)[1]) for _ in range(3)] == [0, 0, 1]


def test_nobody_is_admitted_into_room_that_the_next_token_of_another_needs() -> None:
    batcher = make_batcher(make_sequence(1, 16, new=40), make_sequence(2, 16, new=40), budget=64)
    order, _ = step(batcher)
    assert [opening.sequence for opening in order.openings] == [1]
    assert (batcher.running, batcher.waiting, batcher.kv_tokens_used) == (1, 1, 64)
    batcher.cancel(1)
    order, _ = step(batcher)
    assert order.closed == (1,)
    assert [opening.sequence for opening in order.openings] == [2]


def run_until(batcher: Batcher, count: int) -> list[StepOrder]:
    return [step(batcher)[0] for _ in range(count)]


def test_room_is_taken_as_a_sequence_grows() -> None:
    batcher = make_batcher(make_sequence(1, 16, new=150), budget=64, kv_tokens=256)
    orders = run_until(batcher, 100)
    assert orders[0].openings[0].reserve_tokens == 80
    assert [order.growths for order in orders if order.growths] == [(GrowthOrder(1, 144),)]


def test_whoever_is_least_urgent_is_thrown_out_and_computed_again() -> None:
    """By priority, then by age. Nothing that was generated is lost."""
    batcher = make_batcher(make_sequence(1, 16, 170), budget=64, kv_tokens=192)
    step(batcher)
    batcher.add(make_sequence(2, 8, 100, caller=Caller(priority=Priority.LOW)))
    orders = run_until(batcher, 100)
    thrown = next(order for order in orders if 2 in order.closed)
    assert 2 not in {segment.sequence for segment in thrown.segments}
    assert (batcher.running, batcher.waiting) == (1, 1)
    batcher.cancel(1)
    (again,) = scheduled(batcher).openings
    assert (again.sequence, set(again.generated)) == (2, {7})


def test_several_steps_are_under_way_and_share_who_decodes() -> None:
    batcher = make_batcher(*(make_sequence(number, 1) for number in range(1, 5)), kv_tokens=512, depth=2)
    step(batcher)
    first, second = scheduled(batcher), scheduled(batcher)
    assert [[segment.sequence for segment in order.segments] for order in (first, second)] == [[1, 2], [3, 4]]
    assert batcher.schedule() is None
    batcher.postprocess(first, {1: 7, 2: 7})
    assert [segment.sequence for segment in scheduled(batcher).segments] == [1, 2]


def test_pieces_of_one_prompt_follow_each_other_down_the_chain() -> None:
    batcher = make_batcher(make_sequence(1, 20), depth=3)
    orders = [scheduled(batcher) for _ in range(3)]
    assert [shape(order) for order in orders] == [[(1, 0, 8, False)], [(1, 8, 8, False)], [(1, 16, 4, True)]]
    assert batcher.schedule() is None, "the next token is a function of this one"


def finish_one(batcher: Batcher, token: int = 7) -> list[StepOrder]:
    orders = []
    while batcher.running or batcher.waiting:
        orders.append(step(batcher, token)[0])
    return orders


PROMPT = tuple(range(900, 940))


def test_a_shared_beginning_is_copied_not_computed() -> None:
    batcher = make_batcher(make_sequence(1, tokens=PROMPT, new=9), budget=64, kv_tokens=512)
    step(batcher)
    batcher.add(make_sequence(2, tokens=PROMPT[:35]))
    order, _ = step(batcher)
    assert order.openings[0].source == Source(donor=1, tokens=32, adopts=False)
    assert shape(order)[1] == (2, 32, 3, True)


@pytest.mark.parametrize(("tenant", "tokens"), [("default", 32), ("another", 0)])
def test_a_tenant_finds_its_own_tokens_only(tenant: str, tokens: int) -> None:
    batcher = make_batcher(make_sequence(1, tokens=PROMPT, new=9), budget=64, kv_tokens=512)
    step(batcher)
    batcher.add(make_sequence(2, tokens=PROMPT, caller=Caller(tenant)))
    source = step(batcher)[0].openings[0].source
    assert (source.tokens if source else 0) == tokens


def test_the_next_turn_of_a_session_computes_new_tokens_only() -> None:
    caller = Caller(session="s")
    batcher = make_batcher(make_sequence(1, tokens=PROMPT, new=3, caller=caller), budget=64, kv_tokens=512)
    finish_one(batcher)
    assert (batcher.kv_tokens_used, batcher.kv_tokens_retained) == (0, 48)
    second = make_sequence(2, tokens=(*PROMPT, 7, 7, 7, 300, 301), caller=caller)
    batcher.add(second)
    order, _ = step(batcher)
    assert order.openings[0].source == Source(donor=1, tokens=42, adopts=True)
    assert shape(order) == [(2, 42, 3, True)]
    assert (order.closed, second.cached) == ((), 42)


def test_an_idle_session_gives_up_its_room_first_and_is_computed_when_it_returns() -> None:
    caller = Caller(session="s")
    batcher = make_batcher(make_sequence(1, tokens=PROMPT, new=3, caller=caller), budget=64, kv_tokens=64)
    finish_one(batcher)
    batcher.add(make_sequence(2, 40))
    order, _ = step(batcher)
    assert ([o.sequence for o in order.openings], order.closed) == ([2], (1,))
    batcher.cancel(2)
    batcher.add(make_sequence(3, tokens=PROMPT, caller=caller))
    assert step(batcher)[0].openings[0].source is None


def test_an_ended_session_holds_nothing() -> None:
    batcher = make_batcher(make_sequence(1, tokens=PROMPT, new=2, caller=Caller(session="s")), budget=64)
    finish_one(batcher)
    batcher.end_session("s")
    batcher.end_session("never heard of")
    assert scheduled(batcher).closed == (1,)
    assert batcher.kv_tokens_retained == 0


def test_tenants_take_turns_whoever_asks_for_more() -> None:
    """A tenant with many requests delays its own."""
    many = [make_sequence(number, 16, 2, caller=Caller("many")) for number in range(1, 4)]
    one = make_sequence(9, 16, 2, caller=Caller("one"))
    batcher = make_batcher(*many, one, budget=16, kv_tokens=512, maximum=1)
    opened = [opening.sequence for order in finish_one(batcher) for opening in order.openings]
    assert opened == [1, 9, 2, 3]


def test_the_urgent_go_first_within_a_tenant() -> None:
    batcher = make_batcher(
        make_sequence(1, caller=Caller(priority=Priority.LOW)),
        make_sequence(2),
        make_sequence(3, caller=Caller(priority=Priority.HIGH)),
        maximum=1,
    )
    assert [opening.sequence for order in finish_one(batcher) for opening in order.openings] == [3, 2, 1]


def test_a_stop_string_ends_a_sequence_whose_tokens_are_worth_keeping() -> None:
    batcher = make_batcher(make_sequence(1, 20), budget=64)
    step(batcher)
    batcher.finish(1)
    assert (batcher.running, batcher.kv_tokens_retained) == (0, 32)
    assert batcher.schedule() is None


def test_over_another_chain_everybody_begins_again_from_their_tokens() -> None:
    batcher = make_batcher(make_sequence(1), make_sequence(2), depth=2)
    step(batcher)
    under_way = scheduled(batcher)
    batcher.restart()
    with pytest.raises(UsageError):
        batcher.postprocess(under_way, {1: 9})
    order = scheduled(batcher)
    assert [(opening.sequence, opening.generated) for opening in order.openings] == [(1, (7,)), (2, (7,))]
    assert shape(order) == [(1, 0, 4, True), (2, 0, 4, True)]


def test_who_was_interrupted_does_not_wait_for_those_who_go_on_already() -> None:
    batcher = make_batcher(*(make_sequence(number, prompt=20, new=9) for number in (1, 2)), budget=40, kv_tokens=512)
    step(batcher)
    batcher.restart()
    assert shape(step(batcher)[0]) == [(1, 0, 21, True), (2, 0, 19, False)]
    batcher.add(make_sequence(3, prompt=60))
    assert shape(step(batcher)[0]) == [(1, 21, 1, True), (2, 19, 2, True), (3, 0, 37, False)]
    assert shape(step(batcher)[0]) == [(1, 22, 1, True), (2, 21, 1, True), (3, 37, SMALLEST_PIECE, False)]


def test_a_sequence_that_can_never_fit_is_the_callers_fault() -> None:
    with pytest.raises(UsageError) as refusal:
        make_batcher(make_sequence(1, prompt=60, new=5))
    assert refusal.value.field == "max_tokens"
    make_batcher(make_sequence(1, prompt=60, new=4))


def test_a_full_queue_is_a_503() -> None:
    batcher = make_batcher(*(make_sequence(number) for number in range(QUEUE_FACTOR)), maximum=1)
    with pytest.raises(UnavailableError):
        batcher.add(make_sequence(9))
    step(batcher)
    batcher.add(make_sequence(9))


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


def test_a_lost_step_is_computed_again_one_sequence_at_a_time() -> None:
    batcher = make_batcher(make_sequence(1, new=1), make_sequence(2))
    step(batcher)
    batcher.add(make_sequence(3))
    order = scheduled(batcher)
    assert (order.closed, [opening.sequence for opening in order.openings]) == ((1,), [3])
    assert batcher.fail(order, UnavailableError("worker lost")) == []
    second, _ = step(batcher)
    assert set(second.closed) == {1, 2, 3}
    third, _ = step(batcher)
    assert [[segment.sequence for segment in order.segments] for order in (second, third)] == [[2], [3]]
    assert [segment.sequence for segment in step(batcher)[0].segments] == [2, 3], "both did nothing wrong"


def test_who_fails_alone_too_is_given_up() -> None:
    batcher = make_batcher(make_sequence(1), make_sequence(2))
    batcher.fail(scheduled(batcher), UnavailableError("lost"))
    error = UnavailableError("lost again")
    assert batcher.fail(scheduled(batcher), error) == [Progress(1, None, FinishReason.FAILED, error)]
    assert [segment.sequence for segment in scheduled(batcher).segments] == [2]


@pytest.mark.parametrize("tokens", [{}, {1: 5}, {1: 5, 2: 5, 3: 5}, {2: 5, 3: 5}])
def test_an_answer_for_other_sequences_changes_nothing(tokens: dict[int, int]) -> None:
    """The last stage is a peer: what it says is checked."""
    batcher = make_batcher(make_sequence(1), make_sequence(2))
    order = scheduled(batcher)
    with pytest.raises(MessageError):
        batcher.postprocess(order, tokens)
    assert [one.token for one in batcher.postprocess(order, {1: 5, 2: 6})] == [5, 6]


def test_a_step_lands_once() -> None:
    batcher = make_batcher(make_sequence(1))
    order = scheduled(batcher)
    batcher.postprocess(order, {1: 5})
    with pytest.raises(UsageError):
        batcher.postprocess(order, {1: 5})


@pytest.mark.parametrize(("budget", "kv_tokens", "maximum"), [(0, 64, 1), (4, 64, 5), (4, 15, 1), (4, 64, 0)])
def test_limits_that_cannot_work_are_refused(budget: int, kv_tokens: int, maximum: int) -> None:
    with pytest.raises(UsageError):
        Batcher(budget, kv_tokens, maximum)
