"""Sealing a folder: everything lands, nothing plain does, and each slice has a key of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from mohawk.checkpoint.reader import read_card
from mohawk.errors import ArtifactError, HostError, UsageError
from mohawk.host.sealed_folder import SealedFolder, slice_path
from mohawk.host.slice_file import open_slice
from mohawk.nouns.model import LayerRange
from mohawk.publisher import sealing
from mohawk.publisher.sealing import Publication, seal_model
from tests.e2e.inside import Site
from tests.support.folders import write_folder
from tests.support.keys import keys_in_clear
from tests.support.slices import names
from tests.support.softhsm import SoftToken


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


def seal_under(site: Site, source: Path, token: SoftToken) -> Path:
    target = source.parent / "sealed"
    publication = Publication(source, read_card(source), 1, site.authority.publisher(), token.provider())
    seal_model(publication, (LayerRange(0, 1),), target, lambda done, total: None)
    return target


def test_a_token_that_refuses_does_so_before_anything_is_sealed(site: Site, tmp_path: Path, token: SoftToken):
    token.pin_file.write_text("wrong")
    with pytest.raises(UsageError, match="PIN"):
        seal_under(site, write_folder(tmp_path / "tiny"), token)
    assert names(tmp_path / "sealed") == []


def test_sealing_that_fails_leaves_no_key_on_the_token(
    site: Site, tmp_path: Path, token: SoftToken, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise HostError("the disk is full")

    source = write_folder(tmp_path / "tiny")
    with monkeypatch.context() as patch:
        patch.setattr(sealing, "seal_slice", fail)
        with pytest.raises(HostError):
            seal_under(site, source, token)
    assert token.labels() == []
    seal_under(site, source, token)
    assert len(token.labels()) == 1
