"""Nouns that exist are valid: no range or sampling parameter outside its bounds can be built."""

from __future__ import annotations

import math

import pytest

from mohawk.errors import ArtifactError, UsageError
from mohawk.nouns.model import MAXIMUM_LAYERS, LayerRange, SamplingParameters, check_partition


def test_a_range_is_inclusive_and_names_its_slice():
    layers = LayerRange(2, 5)

    assert len(layers) == 4
    assert 5 in layers
    assert 6 not in layers
    assert LayerRange.parse(layers.slice_id) == layers


@pytest.mark.parametrize(("first", "last"), [(-1, 0), (1, 0), (0, MAXIMUM_LAYERS)])
def test_ranges_out_of_order_or_bounds_do_not_exist(first: int, last: int):
    with pytest.raises(ArtifactError):
        LayerRange(first, last)


@pytest.mark.parametrize("ranges", [[(0, 1), (3, 3)], [(0, 2), (2, 3)], [(0, 2)], [(1, 3)], [(0, 4)], []])
def test_a_partition_holds_each_layer_once(ranges: list[tuple[int, int]]):
    with pytest.raises(ArtifactError):
        check_partition(tuple(LayerRange(*pair) for pair in ranges), 4)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", math.nan),
        ("temperature", 2.1),
        ("top_p", -0.1),
        ("top_k", -1),
        ("seed", 1 << 63),
        ("min_p", math.inf),
    ],
)
def test_sampling_parameters_name_the_field_that_is_wrong(field: str, value: float):
    with pytest.raises(UsageError) as caught:
        SamplingParameters(**{field: value})
    assert caught.value.field == field
