"""Folders that the tests of this room read: one written by hand per test, those of transformers once per run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.folders import write_folder
from tests.support.models import build_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A fresh valid two-layer folder, to break."""
    return write_folder(tmp_path / "tiny")


@pytest.fixture(scope="session")
def real_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A model as transformers writes it, by family, type and shard size; shared, so read only."""
    built: dict[tuple[str, str, str | None], Path] = {}

    def get(family: str, dtype: str = "float32", shard_size: str | None = None) -> Path:
        key = (family, dtype, shard_size)
        if key not in built:
            built[key] = build_model(
                tmp_path_factory.mktemp(family) / family, family, dtype=dtype, shard_size=shard_size
            )
        return built[key]

    return get
