"""What a child of ours is given: nothing that could hold a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from mohawk.cli.children import environment
from mohawk.cli.controller import parse_target
from mohawk.errors import UsageError


def test_a_child_inherits_no_variable_that_it_does_not_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "MIE_HOME", "PYTHONPATH", "LD_PRELOAD", "HF_TOKEN"):
        monkeypatch.setenv(name, "secret")
    given = environment(tmp_path)
    assert "secret" not in given.values()
    assert Path(given["TMPDIR"]).is_relative_to(tmp_path)
    assert Path(given["XDG_CACHE_HOME"]).is_relative_to(tmp_path)


@pytest.mark.parametrize(
    ("text", "found"),
    [("w1=10.0.0.5:8003", ("w1", "10.0.0.5", 8003)), ("w1=[::1]:1", ("w1", "::1", 1))],
)
def test_workers_as_they_are_typed(text: str, found: tuple[str, str, int]):
    target = parse_target(text)
    assert (target.name, target.host, target.port) == found


@pytest.mark.parametrize("text", ["", "w1", "w1=", "w1=host", "=host:1", "w1=:1", "w1=host:", "w1=host:x", "w1=host:²"])
def test_workers_mistyped(text: str):
    with pytest.raises(UsageError, match="NAME=HOST:PORT"):
        parse_target(text)
