"""Families and nouns under arbitrary names: placed, or refused with a typed error."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from mohawk.errors import ArtifactError, UnsupportedModelError
from mohawk.nouns.families import FAMILIES, Kind, classify, place_tensors
from mohawk.nouns.model import MAXIMUM_LAYERS, LayerRange, check_partition

families = st.sampled_from([*FAMILIES, "other"])
words = st.sampled_from(
    ["model", "layers", "h", "0", "7", "wte", "norm", "weight", "bias", "lm_head", "embed_tokens", "x"]
)
names = st.one_of(st.text(max_size=40), st.lists(words, max_size=7).map(".".join))


@settings(max_examples=200)
@given(names, families)
def test_a_name_is_placed_or_refused(name: str, family: str):
    with contextlib.suppress(UnsupportedModelError):
        part = classify(name, family)
        assert (part.kind is Kind.LAYER) == (part.layer is not None)


@settings(max_examples=200)
@given(st.lists(names, max_size=6), families, st.integers(0, 4))
def test_placing_loses_no_name(found: list[str], family: str, layers: int):
    with contextlib.suppress(UnsupportedModelError):
        assert set(place_tensors(found, family, layers)) == set(found)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(-1, 9), st.integers(-1, 9)), max_size=4), st.integers(0, 10))
def test_a_partition_that_passes_covers_every_layer_once(pairs: list[tuple[int, int]], layers: int):
    with contextlib.suppress(ArtifactError):
        ranges = tuple(LayerRange(*pair) for pair in pairs)
        check_partition(ranges, layers)
        assert [layer for part in ranges for layer in range(part.first, part.last + 1)] == list(range(layers))
    assert MAXIMUM_LAYERS == 4096
