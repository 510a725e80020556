"""Protects what "this code" means: every file of the package, by name and content, and nothing that Python leaves there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mohawk.host.code_digest import code_digest, folder_digest


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.py").write_text("a = 1\n")
    (folder / "inner" / "b.py").write_text("b = 2\n")
    return folder


def test_every_change_shows(package: Path) -> None:
    seen = {folder_digest(package)}
    (package / "a.py").write_text("a = 2\n")
    seen.add(folder_digest(package))
    (package / "a.py").rename(package / "c.py")
    seen.add(folder_digest(package))
    (package / "new.py").write_text("")
    seen.add(folder_digest(package))
    (package / "new.py").rename(package / "inner" / "new.py")
    seen.add(folder_digest(package))
    assert len(seen) == 5


def test_what_python_leaves_does_not_show(package: Path) -> None:
    before = folder_digest(package)
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"compiled")
    assert folder_digest(package) == before


def test_names_and_contents_cannot_be_traded(package: Path) -> None:
    """Lengths stand in front: no two packages give the same bytes."""
    before = folder_digest(package)
    (package / "a.py").unlink()
    (package / "a.pya = 1\n").write_text("")
    assert folder_digest(package) != before


def test_two_processes_agree() -> None:
    program = "from mohawk.host.code_digest import code_digest; print(code_digest().hex())"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.strip() == code_digest().hex()
