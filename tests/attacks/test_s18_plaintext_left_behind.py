"""S18: after a run (start, one question, stop), search every file below the home, the workers' folders and the temporary
folders, core files included, for plaintext weights, keys and the prompt.

Expected: none. The control, the same search over the operator's own model folder, finds the weights.
Defence: host/memory.py:allocate and host/slice_file.py:open_slice (opened into anonymous memory, never into a file) and
host/memory.py:harden_process (no core file); removed, one crash or one temporary file leaves a worker's slice on a disk
that the attacker may copy.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mohawk.cli import evidence
from mohawk.cli.evidence import Secrets
from mohawk.cli.preparation import demo_folder
from mohawk.host.authority import AuthorityFolder
from mohawk.host.keys import KeyFile
from mohawk.host.sealed_folder import SealedFolder, slice_path
from mohawk.host.slice_file import open_slice
from tests.e2e.processes import Up
from tests.e2e.running import QUESTION, FirstRun
from tests.support.keys import keys_in_clear

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("up")]


def sealed_folder(home: Path) -> SealedFolder:
    (manifest,) = (home / "models").rglob("manifest.json")
    return SealedFolder.open(manifest.parent, AuthorityFolder(home / "pki").pins())


def keys(home: Path) -> list[bytes]:
    """The model key and the data keys, in clear, as the controller opens them."""
    folder = sealed_folder(home)
    return keys_in_clear(KeyFile(home / "keys" / "model.key"), folder.keyring(), folder.manifest.slices)


def test_a_run_leaves_no_plaintext(first_run: FirstRun):
    home = first_run.home
    answer = first_run.answer.strip().encode()
    secrets = Secrets(evidence.sample_weights(demo_folder()), keys(home), [QUESTION.encode(), answer], ())
    assert len(secrets.keys) == 1 + 6, "the model key, and one for each layer of the demo model"
    assert len(answer) > 20
    places = [home, home.parent / f"{home.name}.tmp", *Path.cwd().glob("core*")]
    paths = [path for place in places for path in (evidence.files_below(place) if place.is_dir() else [place])]
    found = evidence.search_files("after a run", [*paths, home.parent / f"{home.name}.stderr"], secrets)
    assert found.searched_bytes > 5_000_000, "the sealed slices were among what was searched"
    assert found.found == 0
    assert [path.name for path in paths if path.name.startswith("core")] == []


def test_the_same_search_finds_what_is_there(first_run: FirstRun, tmp_path: Path):
    """The controls: the model folder's weights, and a slice, a key and a prompt written down on purpose."""
    assert evidence.search_plaintext(demo_folder()).found > 50

    folder, secret = sealed_folder(first_run.home), keys(first_run.home)
    part = folder.manifest.slices[0]
    opened = bytearray(part.context.plaintext_bytes)
    open_slice(slice_path(folder.folder, part.slice_id), part, secret[1], memoryview(opened))
    (tmp_path / "core.1").write_bytes(bytes(opened) + secret[0] + QUESTION.encode())
    secrets = Secrets(evidence.sample_weights(demo_folder()), secret, [QUESTION.encode()], ())
    assert evidence.search_files("planted", evidence.files_below(tmp_path), secrets).found > 10


def test_no_node_can_write_a_core_file(up: Up):
    """The limits as the kernel has them."""
    for pid in (up.pid, *up.workers):
        limits = Path(f"/proc/{pid}/limits").read_text()
        (core,) = (line for line in limits.splitlines() if line.startswith("Max core file size"))
        assert core.split()[4:6] == ["0", "0"], limits
