"""What `mohawk up` does about a worker that ended."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mohawk.cli.deployment import Deployment, DeploymentOptions
from mohawk.cli.key_option import choose_provider
from mohawk.config import Settings
from mohawk.errors import UnavailableError


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    settings = Settings(home=tmp_path)
    provider = choose_provider(None, settings)
    return Deployment(settings, DeploymentOptions(None, 2, provider), lambda _what, _done, _total: None)


def member(*, is_gone: bool = False, ready: object = object()) -> Any:
    return SimpleNamespace(is_gone=is_gone, ready=ready)


def test_a_worker_that_cannot_be_started_now_is_started_later(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine that killed it for its memory has none for another process either."""
    troubles: list[Exception] = [OSError(12, "Cannot allocate memory"), UnavailableError("a worker did not start")]
    started = SimpleNamespace(name="worker-1", port=8003)

    async def start(*_arguments: object) -> Any:
        if troubles:
            raise troubles.pop(0)
        return started

    monkeypatch.setattr(Deployment, "_start_worker", start)
    deployment.children = [SimpleNamespace(name="worker-1", port=8003)]  # type: ignore[list-item]
    asyncio.run(deployment._restart(None, 0, 0.0))  # type: ignore[arg-type]
    assert deployment.children == [started]


@pytest.mark.parametrize(
    ("members", "spares", "missed"),
    [
        ([member(), member()], [], False),
        ([member(), member(is_gone=True)], [member()], False),
        ([member(), member(is_gone=True)], [], True),
        ([member(), member(is_gone=True)], [member(ready=None)], True),
        ([member(), member(is_gone=True)], [member(is_gone=True)], True),
    ],
)
def test_a_worker_is_missed_where_its_stage_is_and_nobody_stands_by(
    deployment: Deployment, members: list[Any], spares: list[Any], missed: bool
) -> None:
    """Then its successor starts at once; else it leaves the processors to whoever took the stage."""
    deployment.controller = SimpleNamespace(cluster=SimpleNamespace(members=members, spares=spares))  # type: ignore[assignment]
    assert deployment._is_missed() is missed
