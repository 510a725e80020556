from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mohawk.store.database import Database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A new store's file."""
    path = tmp_path / "mohawk.db"
    path.touch(0o600)
    return path


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    with closing(Database(path)) as database:
        yield database
