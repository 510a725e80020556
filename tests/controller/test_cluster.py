"""What the chain's shape says about how it is used."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from mohawk.controller.cluster import Cluster
from mohawk.errors import UnavailableError
from mohawk.identity.names import Role
from mohawk.transport.dial import Target


@pytest.mark.parametrize(
    ("hosts", "machines"), [(["10.0.0.1"] * 3, 1), (["10.0.0.1", "10.0.0.2", "10.0.0.1"], 2), (["a", "b", "c"], 3)]
)
def test_stages_that_share_a_machine_take_turns(hosts: list[str], machines: int) -> None:
    """`Batcher.depth` is this number: two steps at once on one machine only take longer."""
    cluster = object.__new__(Cluster)
    targets = [Target(host, 8003, Role.WORKER, f"w{number}") for number, host in enumerate(hosts)]
    cluster.members = [SimpleNamespace(target=target) for target in targets]  # type: ignore[misc]
    assert cluster.machines == machines


class _Reconnecting:
    """A member whose new connection takes a while, or cannot be had."""

    def __init__(self, *, fails: bool) -> None:
        self.name = "one"
        self.link = self
        self.is_done = self.is_aborted = False
        self._fails = fails

    async def reconnect(self, _context: object) -> None:
        if self._fails:
            raise UnavailableError("refused")
        await asyncio.sleep(0.01)
        self.is_done = True

    def abort(self, _error: object) -> None:
        self.is_aborted = True


@pytest.mark.parametrize("is_spare", [True, False])
def test_who_cannot_be_reached_anew_spoils_nobody_elses_connection(is_spare: bool) -> None:
    """A worker that has taken the new one and sees it end has lost its controller, and with it its stage and its key."""
    whole, broken = _Reconnecting(fails=False), _Reconnecting(fails=True)
    cluster = object.__new__(Cluster)
    cluster.context = None  # type: ignore[assignment]
    cluster.members = [whole] if is_spare else [broken, whole]  # type: ignore[list-item]
    cluster.spares = [broken] if is_spare else []  # type: ignore[list-item]
    if is_spare:
        asyncio.run(cluster.reconnect())
        assert (cluster.spares, broken.is_aborted) == ([], True)
    else:
        with pytest.raises(UnavailableError):
            asyncio.run(cluster.reconnect())
    assert whole.is_done
