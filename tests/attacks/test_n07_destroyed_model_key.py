"""N07: the key that wraps a model key is destroyed on its token; the attacker has copies of everything else: the whole
sealed folder with its keyring, from before; the slices on a worker; the token with its PIN and all keys still on it.

Expected: before, every replica opens; afterwards none does, not with any object left on the token, and no controller
starts over one.
Defence: host/pkcs11.py:TokenKey.destroy; removed (only the keyring is deleted), every copy of the folder opens as before.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass

from mohawk.checkpoint.reader import read_card
from mohawk.controller.service import Controller
from mohawk.errors import ArtifactError, NotFoundError
from mohawk.host.keys import KeyProvider
from mohawk.host.pkcs11 import WrappedByToken
from mohawk.host.sealed_folder import KEYRING, SealedFolder, slice_path
from mohawk.host.slice_file import open_slice
from mohawk.host.slice_store import SliceStore
from mohawk.identity.names import Role
from mohawk.planning.placement import cut_evenly
from mohawk.publisher.key_changes import destroy, rotate
from mohawk.publisher.sealing import Publication, seal_model
from mohawk.transport.dial import Target
from tests.e2e.inside import QUOTA, Site
from tests.support.folders import write_folder
from tests.support.keys import keys_in_clear
from tests.support.nodes import run
from tests.support.orders import hold
from tests.support.softhsm import SoftToken, TokenBox


def unrecorded(_event: object) -> None:
    pass


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "home")


@pytest.fixture
def folder(site: Site, tmp_path: Path, token: SoftToken) -> SealedFolder:
    source = write_folder(tmp_path / "tiny")
    card = read_card(source)
    publication = Publication(source, card, 1, site.authority.publisher(), token.provider())
    seal_model(publication, cut_evenly(card, 2), tmp_path / "sealed", lambda done, total: None)
    return SealedFolder.open(tmp_path / "sealed", site.authority.pins())


def copy(folder: SealedFolder, site: Site, to: Path) -> SealedFolder:
    shutil.copytree(folder.folder, to)
    return SealedFolder.open(to, site.authority.pins())


def open_all(folder: SealedFolder, provider: KeyProvider, slices: Path | None = None) -> None:
    """Every slice of a replica; `slices`: a worker's store in place of the folder's own."""
    keys = keys_in_clear(provider, folder.keyring(), folder.manifest.slices)[1:]
    for part, key in zip(folder.manifest.slices, keys, strict=True):
        path = slice_path(folder.folder, part.slice_id) if slices is None else slices / f"{part.digest}.sealed"
        buffer = bytearray(part.context.plaintext_bytes)
        open_slice(path, part, key, memoryview(buffer))
        assert any(buffer)


def store_of_a_worker(folder: SealedFolder, to: Path) -> Path:
    store = SliceStore(to, QUOTA)
    for part in folder.manifest.slices:
        hold(store, part, slice_path(folder.folder, part.slice_id).read_bytes())
    store.close()
    return to


def test_no_replica_opens_after_its_key_was_destroyed(
    site: Site, folder: SealedFolder, token: SoftToken, tmp_path: Path
):
    hsm = token.provider()
    replicas = [copy(folder, site, tmp_path / f"replica-{number}") for number in (1, 2, 3)]
    worker = store_of_a_worker(folder, tmp_path / "worker")
    for replica in replicas:
        open_all(replica, hsm)
    open_all(replicas[0], hsm, worker)

    destroy(folder.folder, "tiny", hsm, unrecorded)
    for replica in replicas:
        with pytest.raises(NotFoundError, match="no key object"):
            open_all(replica, hsm)
    with pytest.raises(NotFoundError):
        open_all(replicas[0], hsm, worker)
    with pytest.raises(NotFoundError):
        start_controller(site, replicas[1], hsm)


def test_no_key_that_is_left_on_the_token_opens_it(site: Site, folder: SealedFolder, token: SoftToken, tmp_path: Path):
    """Nor one that a thief puts there under the right id."""
    hsm, stolen = token.provider(), copy(folder, site, tmp_path / "stolen")
    for number in range(3):
        hsm.wrap(bytes([number]) * 32)
    destroy(folder.folder, "tiny", hsm, unrecorded)
    blob = WrappedByToken.parse(stolen.keyring().model_key)
    with token.session() as session:
        session.generate_key(KeyType.AES, 256, id=blob.key_id, label=blob.label, store=True)
        left = list(session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY}))
        assert len(left) == 4
        for key in left:
            with pytest.raises(pkcs11.PKCS11Error):
                key.unwrap_key(
                    ObjectClass.SECRET_KEY,
                    KeyType.GENERIC_SECRET,
                    blob.wrapped,
                    mechanism=Mechanism.AES_KEY_WRAP_PAD,
                    template={Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True},
                )
    with pytest.raises(ArtifactError):
        open_all(stolen, hsm)


def test_a_stolen_folder_opens_with_no_other_token(
    site: Site, folder: SealedFolder, token_box: TokenBox, tmp_path: Path
):
    stolen = copy(folder, site, tmp_path / "stolen")
    other = token_box.token("another-hosts")
    other.provider().wrap(bytes(32))
    with pytest.raises(NotFoundError):
        open_all(stolen, other.provider())


def test_replicas_from_before_a_rotation_end_with_it(
    site: Site, folder: SealedFolder, token: SoftToken, tmp_path: Path
):
    hsm, old = token.provider(), copy(folder, site, tmp_path / "old")
    rotate(folder, hsm, unrecorded)
    open_all(folder, hsm)
    with pytest.raises(NotFoundError):
        open_all(old, hsm)
    shutil.copy(folder.folder / KEYRING, old.folder / KEYRING)  # no slice changed its address
    open_all(old, hsm)
    destroy(folder.folder, "tiny", hsm, unrecorded)
    with pytest.raises(NotFoundError):
        open_all(old, hsm)


def start_controller(site: Site, replica: SealedFolder, provider: KeyProvider) -> None:
    """Its key comes before its workers: these are not even asked."""
    targets = tuple(Target("127.0.0.1", 1, Role.WORKER, f"w{number}") for number in (1, 2))

    async def main() -> None:
        controller = Controller(replace(site.options(replica, targets), provider=provider))
        try:
            await controller.start(lambda what, done, total: None)
        finally:
            await controller.stop()

    run(main, seconds=30)
