"""A sequence under a grammar: masks follow what was sampled, history rebuilds them, failures stay with their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import tokenizers

from mohawk.api.response_format import schema_grammar
from mohawk.checkpoint.grammar import GrammarProcess
from mohawk.nouns.sampling import Grammar
from mohawk.worker.constraints import HEADROOM, Constraints
from tests.support.models import VOCABULARY_SIZE, tokenizer_json

END = 2
GRAMMAR = Grammar(schema_grammar({"enum": ["a"]}), (END,))
TOKENIZER = tokenizers.Tokenizer.from_str(tokenizer_json())
QUOTE, LETTER = TOKENIZER.token_to_id('"'), TOKENIZER.token_to_id("a")


@pytest.fixture(scope="module")
def child() -> Iterator[Constraints]:
    made = Constraints(lambda: GrammarProcess(tokenizer_json().encode(), VOCABULARY_SIZE, HEADROOM))
    yield made
    made.stop()


@pytest.fixture
def followed(child: Constraints) -> Iterator[Constraints]:
    yield child
    for sequence in range(10):
        child.close(sequence)


def allowed(followed: Constraints, *sequences: int) -> list[list[int]]:
    followed.begin(sequences)
    masks = followed.finish(sequences)
    assert masks.failed == frozenset()
    return [bits(masks.allowed[sequence]) for sequence in sequences]


def bits(mask: bytes) -> list[int]:
    return [token for token in range(VOCABULARY_SIZE) if mask[token >> 3] >> (token & 7) & 1]


def test_masks_follow_the_tokens_and_only_the_end_comes_after_the_last(followed: Constraints) -> None:
    followed.open(1, GRAMMAR, ())
    for token in (QUOTE, LETTER, QUOTE, END):
        assert allowed(followed, 1) == [[token]]
        followed.accept(1, token)


def test_a_sequence_opened_with_its_history_goes_on_there(followed: Constraints) -> None:
    followed.open(1, GRAMMAR, (QUOTE,))
    followed.open(2, GRAMMAR, (QUOTE, LETTER))
    assert allowed(followed, 1, 2) == [[LETTER], [QUOTE]]


def test_a_sequence_may_be_closed_and_opened_again_between_two_masks(followed: Constraints) -> None:
    followed.open(1, GRAMMAR, ())
    assert allowed(followed, 1) == [[QUOTE]]
    followed.accept(1, QUOTE)
    followed.close(1)
    followed.open(1, GRAMMAR, (QUOTE,))
    assert allowed(followed, 1) == [[LETTER]]


def test_a_prompt_that_is_still_computed_needs_no_answer(followed: Constraints) -> None:
    followed.open(1, GRAMMAR, ())
    followed.begin([])
    assert followed.finish([]).allowed == {}
    assert allowed(followed, 1) == [[QUOTE]]


def test_what_breaks_its_grammar_fails_alone_and_for_good(followed: Constraints) -> None:
    followed.open(1, GRAMMAR, ())
    followed.open(2, GRAMMAR, ())
    assert allowed(followed, 1, 2) == [[QUOTE], [QUOTE]]
    followed.accept(1, LETTER)
    followed.accept(2, QUOTE)
    for _ in range(2):
        followed.begin([1, 2])
        masks = followed.finish([1, 2])
        assert masks.failed == {1}
        assert bits(masks.allowed[2]) == [LETTER]


def test_without_a_token_that_ends_the_answer_no_grammar_is_followed(followed: Constraints) -> None:
    followed.open(1, Grammar(GRAMMAR.text, (VOCABULARY_SIZE,)), ())
    followed.begin([1])
    assert followed.finish([1]).failed == {1}


def test_a_tokenizer_that_cannot_be_read_fails_its_grammars_only() -> None:
    broken = Constraints(lambda: GrammarProcess(b"{}", VOCABULARY_SIZE, HEADROOM))
    try:
        broken.open(1, GRAMMAR, ())
        broken.begin([1, 2])
        assert broken.finish([1, 2]).failed == {1}
    finally:
        broken.stop()
