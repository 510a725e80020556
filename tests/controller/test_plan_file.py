"""Plans and measurements that an operator gives back: the same as they were, or an error that names the field."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mohawk.controller.plan_file import describe_profile, read_measurements, read_plan
from mohawk.errors import HostError, UsageError
from mohawk.planning.cost import Curve, WorkerProfile
from tests.nouns.test_plan import make_plan

PROFILE = WorkerProfile(
    "w1", 1 << 30, Curve(((1, 0.0026), (8, 0.007))), None, Curve(((1, 0.004),)), 0.0003, 5e8, may_hold_ends=False
)


def test_what_was_printed_is_read(tmp_path: Path):
    file = tmp_path / "measured.json"
    file.write_text(json.dumps({"workers": [describe_profile(PROFILE)], "rows": 8}))
    assert read_measurements(file) == (PROFILE,)
    file.write_text(
        json.dumps({"stages": [{"worker": "w2", "layers": "slice_0_3"}, {"worker": "w1", "layers": "slice_4_4"}]})
    )
    assert read_plan(file) == make_plan(("w2", 0, 3), ("w1", 4, 4))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 3),
        ("memory_bytes", "much"),
        ("memory_bytes", -1),
        ("layer", []),
        ("layer", [[8, 1.0], [1, 1.0]]),
        ("head", [[1]]),
        ("embedding", None),
        ("bytes_per_second", 0),
        ("may_hold_ends", "yes"),
        ("round_trip_microseconds", True),
    ],
)
def test_what_is_wrong_is_refused(tmp_path: Path, field: str, value: object):
    file = tmp_path / "measured.json"
    file.write_text(json.dumps({"workers": [{**describe_profile(PROFILE), field: value}]}))
    with pytest.raises(UsageError):
        read_measurements(file)


def test_an_infinite_number(tmp_path: Path):
    file = tmp_path / "measured.json"
    text = json.dumps({"workers": [describe_profile(PROFILE)]})
    file.write_text(text.replace(str(PROFILE.memory), "1e400"))
    with pytest.raises(UsageError):
        read_measurements(file)


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(HostError):
        read_plan(tmp_path / "nothing")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["worker", "layers", "name", "layer"]), inner)
    ),
    max_leaves=8,
)


@given(value=json_values)
def test_any_document_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, value: object):
    file = tmp_path_factory.getbasetemp() / "any.json"
    file.write_text(json.dumps({"stages": value, "workers": value}))
    for read in (read_plan, read_measurements):
        try:
            read(file)
        except UsageError:
            pass
