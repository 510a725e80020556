"""C11: a folder with a downloaded model also holds `mohawk.py`, `torch.py` and `uvloop.py`, and its owner runs Mohawk
from within it. (Ours: not from the numbered list of attacks.)

Expected: no child process of ours imports any of them.
Defence: cli/children.py:interpreter (`-P`), and that every child is started with it; removed, the code that came with
the model runs with a worker's key, before one line of ours.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import mohawk
from mohawk.cli.children import start_worker
from mohawk.crypto.signing import PublisherKey
from mohawk.host.identity import NodeIdentity
from mohawk.identity.names import Role
from tests.support.nodes import run
from tests.support.tls import Mesh

SHADOWS = ("mohawk", "torch", "uvloop", "asyncio")


def test_a_worker_imports_nothing_from_where_it_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, folder, caught = tmp_path / "model", tmp_path / "w1", tmp_path / "caught"
    model.mkdir()
    folder.mkdir(mode=0o700)
    for name in SHADOWS:
        (model / f"{name}.py").write_text(f"open({str(caught)!r}, 'a').write({name!r})\nraise SystemExit(1)\n")
    monkeypatch.chdir(model)

    async def main() -> None:
        identity = NodeIdentity(Mesh().credentials(Role.WORKER, "w1"), PublisherKey.generate().pins())
        child = await start_worker(identity, folder)
        assert child.port > 0
        await child.stop()

    try:
        run(main, seconds=60)
    finally:
        assert not caught.exists(), f"{caught.read_text()}.py of the model's folder ran"


def test_no_child_is_started_in_another_way() -> None:
    """Wherever our interpreter's path is used, `-P` follows it, or `-I`, which includes it."""
    source = Path(mohawk.__file__).parent
    following = [
        text.removeprefix(", ").partition(",")[0].splitlines()[0]
        for path in source.rglob("*.py")
        for text in path.read_text().split("sys.executable")[1:]
    ]
    assert sorted(following) == ['"-I"', '"-I"', '"-P"']
