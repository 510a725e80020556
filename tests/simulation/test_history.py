"""The checker of histories sees what it is there to see."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from mohawk.errors import UnavailableError, UsageError
from mohawk.generation.session import Caller, FinishReason, GenerationRequest, TextDelta
from mohawk.nouns.model import SamplingParameters
from tests.simulation import clock
from tests.simulation.faults import Fault, Kind, allowance
from tests.simulation.history import Answer, History
from tests.simulation.stage import solo

NEW = 4


def ask(tenant: str = "one") -> GenerationRequest:
    return GenerationRequest((1, 2, 3), NEW, SamplingParameters(temperature=0.0), caller=Caller(tenant))


TOKENS = list(solo(ask()))


def tell(history: History, answer: Answer, tokens: list[int], *, ends: bool = True) -> None:
    for number, token in enumerate(tokens, start=1):
        finish = FinishReason.LENGTH if ends and number == len(tokens) else None
        history.hear(answer, TextDelta("", number, finish, token))


async def in_a_history(story: Callable[[History, Answer], None]) -> list[str]:
    history = History()
    story(history, history.begin(ask()))
    return [violation.split(": ", 1)[1] for violation in history.violations]


def seen(story: Callable[[History, Answer], None]) -> list[str]:
    return clock.run(in_a_history(story))


def test_a_good_answer_is_none() -> None:
    assert len(TOKENS) == NEW
    assert seen(lambda history, answer: tell(history, answer, TOKENS)) == []


@pytest.mark.parametrize(
    ("tokens", "complaint"),
    [
        (TOKENS[:1] + TOKENS, "token 1 is not the solo run's"),
        (TOKENS[1:], "token 0 is not the solo run's"),
        (TOKENS[:-1] + [TOKENS[-1] + 1], f"token {NEW - 1} is not the solo run's"),
        (TOKENS[:-1], "the answer is cut off"),
    ],
    ids=["repeated", "lost", "changed", "short"],
)
def test_tokens_are_those_of_the_solo_run(tokens: list[int], complaint: str) -> None:
    assert complaint in seen(lambda history, answer: tell(history, answer, tokens))


def test_an_answer_ends_once() -> None:
    def story(history: History, answer: Answer) -> None:
        tell(history, answer, TOKENS)
        history.fail(answer, UnavailableError("x"))

    assert seen(story) == ["it ended twice: complete, unavailable"]


def test_nobody_is_blamed_for_a_fault_of_ours() -> None:
    assert seen(lambda history, answer: history.fail(answer, UsageError("x"))) == ["it is blamed: x"]


async def starve(history: History) -> list[str]:
    """`one` waits for 10 s, while `two` is served."""
    waiting = history.begin(ask("one"))
    for _ in range(10):
        await asyncio.sleep(1.0)
        tell(history, history.begin(ask("two")), TOKENS)
    tell(history, waiting, TOKENS)
    return list(history.check_fairness(20.0))


def test_a_tenant_who_waits_while_another_is_served_starves() -> None:
    (complaint,) = clock.run(starve(History()))
    assert "request 0 waited 10.0 s" in complaint


def test_only_faults_explain_silence_and_only_for_a_while() -> None:
    fault = Fault(100.0, Kind.KILLED, "worker-1", "controller", 103.0)
    assert allowance([fault], 99.5, 101.0) > 1.0
    assert allowance([fault], 50.0, 90.0) == allowance([fault], 200.0, 300.0) == 0.0
