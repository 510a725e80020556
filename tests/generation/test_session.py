"""Requests are valid by construction; a sequence ends exactly once, for the right reason."""

from __future__ import annotations

import pytest

from mohawk.errors import UsageError
from mohawk.generation.session import FinishReason, GenerationRequest, Sequence
from mohawk.nouns.model import SamplingParameters

GREEDY = SamplingParameters(temperature=0.0)
END = frozenset({99})


def make_request(prompt: tuple[int, ...] = (1, 2, 3), new: int = 2, stop: tuple[str, ...] = ()) -> GenerationRequest:
    return GenerationRequest(prompt, new, GREEDY, stop, END)


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("prompt", {"prompt": ()}),
        ("max_tokens", {"new": 0}),
        ("max_tokens", {"new": -1}),
        ("stop", {"stop": ("",)}),
        ("stop", {"stop": ("x" * 257,)}),
        ("stop", {"stop": ("x",) * 17}),
    ],
)
def test_what_is_no_request_names_its_field(field: str, arguments: dict[str, object]) -> None:
    with pytest.raises(UsageError) as refusal:
        make_request(**arguments)
    assert refusal.value.field == field


def test_a_sequence_ends_with_its_last_token() -> None:
    sequence = Sequence(1, make_request())
    assert sequence.append(7) is None
    assert sequence.append(8) is FinishReason.LENGTH
    assert sequence.generated == (7, 8)
    assert sequence.history == [1, 2, 3, 7, 8]


def test_the_models_end_counts_even_when_it_is_the_last_token() -> None:
    sequence = Sequence(1, make_request(new=1))
    assert sequence.append(99) is FinishReason.STOP


def test_pending_is_what_the_stages_have_not_seen() -> None:
    sequence = Sequence(1, make_request())
    assert sequence.pending == 3
    sequence.computed = 3
    sequence.append(7)
    assert sequence.pending == 1
