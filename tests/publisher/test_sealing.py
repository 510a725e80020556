"""Sealing a folder: everything lands, nothing plain does, and each slice has a key of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from mohawk.errors import ArtifactError
from mohawk.host.sealed_folder import SealedFolder, slice_path
from mohawk.host.slice_file import open_slice
from tests.e2e.inside import Site
from tests.support.folders import write_folder
from tests.support.keys import keys_in_clear


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site") / "home")


@pytest.fixture
def folder(site: Site, tmp_path: Path) -> SealedFolder:
    return site.seal(write_folder(tmp_path / tmp_path.name), 2)


def test_every_slice_opens_under_its_own_key_only(site: Site, folder: SealedFolder):
    model_key, *keys = keys_in_clear(site.provider, folder.keyring(), folder.manifest.slices)
    assert len({*keys, model_key}) == 3
    first, second = folder.manifest.slices
    for part, key in zip((first, second), keys, strict=True):
        buffer = bytearray(part.context.plaintext_bytes)
        open_slice(slice_path(folder.folder, part.slice_id), part, key, memoryview(buffer))
        assert any(buffer)
    buffer = bytearray(first.context.plaintext_bytes)
    with pytest.raises(ArtifactError):
        open_slice(slice_path(folder.folder, first.slice_id), first, keys[1], memoryview(buffer))
