"""The loss of a key ends the process that held it: a worker whose controller leaves begins anew, and nothing is left."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from mohawk.cli.search import count_bytes, sample_windows
from mohawk.host.revocations import Revocations
from tests.e2e.inside import Site, generate, now
from tests.e2e.processes import descendants, wait_until_gone
from tests.support.models import build_model
from tests.support.nodes import run


def read_memory(pid: int) -> list[bytes]:
    """Every mapping that the process may write to."""
    regions = []
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text("utf-8").splitlines():
            span, rights, *_ = line.split()
            first, last = (int(part, 16) for part in span.split("-"))
            if rights.startswith("rw"):
                try:
                    memory.seek(first)
                    regions.append(memory.read(last - first))
                except (OSError, ValueError):  # unmapped while we looked, or the kernel's own
                    continue
    return regions


def count(pid: int, needles: list[bytes]) -> int:
    return sum(count_bytes(region, needles) for region in read_memory(pid))


@pytest.mark.skipif(os.geteuid() != 0, reason="reads another process's memory: needs root")
def test_a_worker_begins_anew_with_nothing_left_and_serves_the_next_controller(tmp_path: Path) -> None:
    site = Site(tmp_path / "home")
    source = build_model(tmp_path / "model", "llama")
    weights = [window for path in source.glob("*.safetensors") for window in sample_windows(path, 16)]

    with site.worker_processes(1) as targets:
        (node,) = site.nodes

        async def main() -> list[int]:
            async with site.serving(source, targets) as controller:
                tokens = await generate(controller, [1, 2, 3], 4)
                assert count(node.serving, weights) > 0, "the search finds what is there"
                assert count(node.pid, weights) == 0, "nothing that the next one is forked from"
            return tokens

        served = node.serving
        first = run(main, seconds=60)
        assert f'"port": {targets[0].port}' in node.read_until("\n"), "announced again: where it was before"
        assert wait_until_gone([served], 0.0) == []
        assert node.process.poll() is None, "whoever watches over it sees nothing end"
        assert [count(pid, weights) for pid in (node.pid, *descendants(node.pid))] == [0, 0]
        assert run(main, seconds=60) == first


def test_a_revoked_worker_ends_for_good_within_ten_seconds(tmp_path: Path) -> None:
    site = Site(tmp_path / "home")
    source = build_model(tmp_path / "model", "llama")

    with site.worker_processes(1, quiet=False, ended={4}) as targets:
        (node,) = site.nodes

        async def main() -> float:
            async with site.serving(source, targets) as controller:
                await generate(controller, [1, 2, 3], 4)
                Revocations(site.authority).deny("spiffe://mesh.example/worker/w1", "stolen", now())
                begin = time.monotonic()
                gone = await asyncio.to_thread(wait_until_gone, [node.pid], 10.0)
                assert gone == []
                return time.monotonic() - begin

        print(f"ended {run(main, seconds=60):.1f} s after it was revoked")
    assert "was revoked" in node.errors.read_text()
