"""A probe times what serves, of any family, within the room that it is given."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from mohawk.errors import ArtifactError
from mohawk.model.probe import HISTORY, time_stage
from mohawk.nouns.model import DataType
from tests.support.models import build_model
from tests.support.turns import at_once

ROWS = (1, 4, HISTORY)
PLENTY = 1 << 30


def steady() -> float:
    """A clock of its own: a quarter of a second at each look."""
    return next(_looks) / 4


_looks = itertools.count()


@pytest.mark.parametrize("family", ["llama", "llama_tied", "qwen3", "gemma3", "gpt2", "gemma2"])
def test_families_are_timed(tmp_path: Path, family: str):
    config = (build_model(tmp_path / "model", family) / "config.json").read_bytes()
    times = time_stage(config, DataType.BFLOAT16, ROWS, PLENTY, steady, at_once)
    assert set(times.layer) == set(times.embedding) == set(times.head) == set(ROWS)
    assert min(times.layer.values()) > 0
    assert min(*times.embedding.values(), *times.head.values()) >= 0


def test_what_does_not_fit_is_not_measured(tmp_path: Path):
    config = (build_model(tmp_path / "model", "llama") / "config.json").read_bytes()
    times = time_stage(config, DataType.FLOAT32, ROWS, 1000, steady, at_once)
    assert times.layer == times.embedding == times.head == {}


def test_nothing_is_built_from_a_config_that_lies():
    with pytest.raises(ArtifactError):
        time_stage(b"{", DataType.FLOAT32, ROWS, PLENTY, steady, at_once)
