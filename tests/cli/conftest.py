from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import Terminal


@pytest.fixture
def mohawk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    """The command line with an empty home."""
    home = tmp_path / "home"
    monkeypatch.setenv("MIE_HOME", str(home))
    return Terminal(home, capsys)
