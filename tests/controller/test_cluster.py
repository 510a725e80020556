"""What the chain's shape says about how it is used."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from mohawk.controller.cluster import Cluster
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
