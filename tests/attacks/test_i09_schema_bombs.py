"""I09: a JSON Schema that explodes, in time or memory, or reaches outside -> 400, and the next one is served.

Stimulus: a number that must divide by a large prime, thousands of alternatives, deep nesting, references to a file and
to a host. Outcome: a refusal within its second, from a child that holds nothing of ours; what the library refuses says
why. A grammar that gets through and fails later ends its own sequence only.
Defence: checkpoint/grammar.py:GrammarProcess.try_grammar (deadline), checkpoint/grammar_child.py:confine (memory) and
Grammars.try_grammar (processor time); removed, a schema computes for as long as it likes, or takes all memory.
Defence: worker/constraints.py:Constraints.finish; removed its deadline, a child that hangs holds the pass for ever.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mohawk.api.response_format import schema_grammar
from mohawk.checkpoint.grammar import TRIAL_SECONDS, GrammarProcess
from mohawk.checkpoint.grammar_child import Grammars
from mohawk.controller.grammars import WAITING, GrammarTrial
from mohawk.errors import UnavailableError, UsageError
from mohawk.nouns.sampling import Grammar
from mohawk.worker import constraints
from mohawk.worker.constraints import HEADROOM, Constraints
from tests.support.models import VOCABULARY_SIZE, tokenizer_json

END = 2
PRIME = {"type": "integer", "multipleOf": 999983, "minimum": -(10**18), "maximum": 10**18}
GOOD = {"type": "object", "properties": {"a": {"type": "integer"}}}


def grammar(schema: dict[str, object]) -> Grammar:
    return Grammar(schema_grammar(schema), (END,))


@pytest.fixture
def trial() -> Iterator[GrammarTrial]:
    made = GrammarTrial(tokenizer_json().encode(), VOCABULARY_SIZE)
    yield made
    made.close()


def nested(depth: int) -> dict[str, object]:
    schema: dict[str, object] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


def test_a_schema_that_computes_for_ever_is_refused_and_the_next_one_served(trial: GrammarTrial) -> None:
    async def main() -> float:
        await trial.check(grammar(GOOD))  # the child is there
        begun = time.monotonic()
        with pytest.raises(UsageError, match="too much time or memory") as refusal:
            await trial.check(grammar(PRIME))
        taken = time.monotonic() - begun
        assert refusal.value.field == "response_format"
        await trial.check(grammar({**GOOD, "title": "another"}))
        return taken

    assert asyncio.run(main()) < TRIAL_SECONDS + 5


def test_a_child_that_hangs_is_given_up_after_its_second(trial: GrammarTrial) -> None:
    async def main() -> float:
        await trial.check(grammar(GOOD))
        assert trial._process is not None
        os.kill(trial._process._child._process.pid, signal.SIGSTOP)
        begun = time.monotonic()
        with pytest.raises(UsageError, match="too much time or memory"):
            await trial.check(grammar({**GOOD, "title": "stopped"}))
        return time.monotonic() - begun

    assert TRIAL_SECONDS <= asyncio.run(main()) < TRIAL_SECONDS + 5


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "file:///etc/hostname"},
        {"$ref": "http://127.0.0.1:9/schema"},
        {"allOf": [{"anyOf": [{"properties": {f"k{i}{j}": {}}} for j in range(6)]} for i in range(8)]},
        nested(500),
        {"not": {"type": "string"}},
        {"type": "array", "uniqueItems": True},
        {"type": "string", "pattern": "(?=a)b"},
        {"type": "string", "format": "no such format"},
        {"type": "banana"},
    ],
)
def test_what_cannot_be_followed_says_why(trial: GrammarTrial, schema: dict[str, object]) -> None:
    async def main() -> None:
        with pytest.raises(UsageError) as refusal:
            await trial.check(grammar(schema))
        assert refusal.value.field == "response_format"
        assert refusal.value.message.isprintable()
        assert len(refusal.value.message) < 300

    asyncio.run(main())


def test_memory_is_limited_and_a_child_that_died_is_replaced(trial: GrammarTrial) -> None:
    async def main() -> None:
        await trial.check(grammar(GOOD))
        assert trial._process is not None
        pid = trial._process._child._process.pid
        size, limit = address_space(pid)
        assert size < limit <= size + (80 << 20)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(UsageError):
            await trial.check(grammar({**GOOD, "title": "lost"}))
        await trial.check(grammar({**GOOD, "title": "found"}))

    asyncio.run(main())


def address_space(pid: int) -> tuple[int, int]:
    """Bytes in use, and the most there may be."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    [limit] = [line.split()[3] for line in lines if line.startswith("Max address space")]
    return pages * os.sysconf("SC_PAGESIZE"), int(limit)


def test_processor_time_is_limited_apart_from_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    grammars = Grammars(tokenizer_json(), VOCABULARY_SIZE)
    assert grammars.try_grammar(schema_grammar(GOOD), [END]) == ""
    clock = iter([0.0, 0.3])
    monkeypatch.setattr("mohawk.checkpoint.grammar_child.time.process_time", lambda: next(clock))
    assert "too long" in grammars.try_grammar(schema_grammar(GOOD), [END])


def test_a_crowd_of_schemas_waits_in_a_short_queue(trial: GrammarTrial) -> None:
    async def main() -> list[BaseException | None]:
        schemas = [{**GOOD, "title": str(number)} for number in range(WAITING + 4)]
        return await asyncio.gather(*(trial.check(grammar(schema)) for schema in schemas), return_exceptions=True)

    refused = [error for error in asyncio.run(main()) if error is not None]
    assert [type(error) for error in refused] == [UnavailableError] * 4


def test_a_tokenizer_that_does_not_go_with_grammars_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def start(*arguments: Any) -> GrammarProcess:
        started.append(arguments)
        return GrammarProcess(*arguments)

    monkeypatch.setattr("mohawk.controller.grammars.GrammarProcess", start)

    async def main() -> None:
        hopeless = GrammarTrial(b"{}", VOCABULARY_SIZE)
        for _ in range(3):
            with pytest.raises(UsageError, match="of this model"):
                await hopeless.check(grammar(GOOD))
        hopeless.close()

    asyncio.run(main())
    assert len(started) == 1


def test_a_child_that_hangs_holds_no_pass_and_ends_its_own_sequences_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constraints, "STEP_SECONDS", 0.3)
    followed = Constraints(lambda: GrammarProcess(tokenizer_json().encode(), VOCABULARY_SIZE, HEADROOM))
    try:
        followed.open(1, grammar(GOOD), ())
        followed.begin([1, 2])
        assert set(followed.finish([1, 2]).allowed) == {1}
        assert followed._process is not None
        os.kill(followed._process._child._process.pid, signal.SIGSTOP)
        begun = time.monotonic()
        followed.begin([1, 2])
        masks = followed.finish([1, 2])
        assert time.monotonic() - begun < 5
        assert (masks.allowed, masks.failed) == ({}, {1})
        assert followed._starting is not None
        followed._starting.result()
        followed.close(1)
        followed.open(3, grammar(GOOD), ())
        followed.begin([3])
        assert set(followed.finish([3]).allowed) == {3}
    finally:
        followed.stop()
