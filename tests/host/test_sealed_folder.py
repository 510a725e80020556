"""A sealed model on disk: what was signed, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from mohawk.errors import ArtifactError, RemoteError, UntrustedArtifactError, UsageError
from mohawk.host.sealed_folder import SealedFolder, slice_path
from tests.e2e.inside import Site
from tests.support.folders import write_folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site") / "home")


@pytest.fixture
def folder(site: Site, tmp_path: Path) -> SealedFolder:
    return site.seal(write_folder(tmp_path / tmp_path.name), 2)


@pytest.mark.parametrize("name", ["../slice_0_1", "slice_0_1/../x", "/slice_0_1", "slice_0_1\n", "slice_1_0", ""])
def test_a_slice_id_cannot_leave_the_folder(tmp_path: Path, name: str):
    with pytest.raises(RemoteError):
        slice_path(tmp_path, name)


def test_side_files_are_those_that_were_signed(folder: SealedFolder):
    assert set(folder.side_files()) == {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    }
    (folder.folder / "config.json").write_bytes((folder.folder / "config.json").read_bytes().replace(b"16", b"17", 1))
    with pytest.raises(ArtifactError):
        folder.side_files()


def test_another_publisher_s_folder_is_not_opened(folder: SealedFolder, tmp_path: Path):
    with pytest.raises(UntrustedArtifactError):
        SealedFolder.open(folder.folder, Site(tmp_path / "other").authority.pins())


def test_a_folder_without_a_manifest_is_not_sealed_yet(site: Site, folder: SealedFolder):
    (folder.folder / "manifest.json").unlink()
    with pytest.raises(UsageError):
        SealedFolder.open(folder.folder, site.authority.pins())
