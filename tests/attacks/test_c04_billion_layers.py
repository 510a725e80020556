"""C04: a config that claims 10^9 layers, or other numbers beyond any model.

Expected: refused with ArtifactError before anything is allocated for them: in bounded time and memory.
Defence: mohawk/checkpoint/settings.py:_read_number (bounds); removed, `set(range(10**9))` of mohawk/nouns/families.py asks for
tens of gigabytes before the missing layers are noticed.
"""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from mohawk.checkpoint.reader import read_card
from mohawk.errors import ArtifactError
from mohawk.nouns.model import MAXIMUM_LAYERS
from tests.support.folders import change_config, write_folder


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "changes",
    [
        {"num_hidden_layers": 10**9},
        {"num_hidden_layers": MAXIMUM_LAYERS + 1},
        {"num_hidden_layers": 10**400},
        {"num_hidden_layers": 0},
        {"num_hidden_layers": -1},
        {"num_hidden_layers": 2.0},
        {"num_hidden_layers": True},
        {"num_hidden_layers": None, "n_layer": 10**9},
        {"hidden_size": 10**9},
        {"vocab_size": 10**12},
        {"num_key_value_heads": 10**9},
        {"head_dim": 10**9},
        {"max_position_embeddings": 10**18},
    ],
)
def test_numbers_beyond_any_model_are_refused_before_allocation(tmp_path: Path, changes: dict[str, object]):
    folder = write_folder(tmp_path / "m")
    change_config(folder, **changes)

    tracemalloc.start()
    try:
        with pytest.raises(ArtifactError):
            read_card(folder)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
