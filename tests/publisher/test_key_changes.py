"""The life of a model key: moved, replaced, destroyed; slices stay as they are, and each step is told before it is done."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mohawk.audit.events import AuditEvent, EventKind
from mohawk.errors import ArtifactError, HostError, MohawkError, NotFoundError, UsageError
from mohawk.host.files import write_file
from mohawk.host.keys import KeyFile, KeyProvider, PassphraseFile
from mohawk.host.sealed_folder import KEYRING, RETIRED, SealedFolder, slice_path
from mohawk.host.slice_file import open_slice
from mohawk.publisher import key_changes
from mohawk.publisher.key_changes import destroy, rewrap, rotate
from tests.e2e.inside import Site
from tests.support.folders import write_folder
from tests.support.keys import keys_in_clear
from tests.support.slices import names
from tests.support.softhsm import SoftToken, TokenBox


class Log:
    """Records events; `full`: as a log whose disk is."""

    def __init__(self, *, full: bool = False) -> None:
        self.events: list[AuditEvent] = []
        self.full = full

    def __call__(self, event: AuditEvent) -> None:
        if self.full:
            raise HostError("the audit log cannot be written")
        self.events.append(event)

    @property
    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.events]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site") / "home")


@pytest.fixture
def folder(site: Site, tmp_path: Path) -> SealedFolder:
    return site.seal(write_folder(tmp_path / tmp_path.name), 2)


def digests(folder: SealedFolder) -> dict[str, str]:
    """Of everything but the keyring."""
    paths = [path for path in folder.folder.iterdir() if path.name != KEYRING]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def open_all(folder: SealedFolder, provider: KeyProvider) -> list[bytes]:
    """The keys in clear, having opened every slice with them."""
    keys = keys_in_clear(provider, folder.keyring(), folder.manifest.slices)
    for part, key in zip(folder.manifest.slices, keys[1:], strict=True):
        buffer = bytearray(part.context.plaintext_bytes)
        open_slice(slice_path(folder.folder, part.slice_id), part, key, memoryview(buffer))
    return keys


def passphrase(folder: Path, text: str = "six quite random words or more") -> PassphraseFile:
    write_file(folder / "passphrase", text.encode())
    return PassphraseFile(folder / "passphrase")


def test_rewrapping_moves_the_same_key(site: Site, folder: SealedFolder, tmp_path: Path, token: SoftToken):
    before, keys, log = digests(folder), open_all(folder, site.provider), Log()
    words, hsm = passphrase(tmp_path), token.provider()
    done = rewrap(folder, site.provider, words, log)
    assert done.provider == "passphrase-file"
    assert "was kept" in done.reach, "the key file is shared"
    assert open_all(folder, words) == keys
    assert rewrap(folder, words, hsm, log).provider == "pkcs11"
    assert open_all(folder, hsm) == keys
    assert digests(folder) == before
    assert log.kinds == [EventKind.KEY_REWRAPPED] * 2
    assert (log.events[1].subject, log.events[1].details["old"], log.events[1].details["new"]) == (
        folder.manifest.model_id,
        "passphrase-file",
        "pkcs11",
    )
    with pytest.raises(UsageError, match="kept by pkcs11"):
        open_all(folder, words)


def test_moving_away_from_a_token_destroys_its_object(folder: SealedFolder, site: Site, token: SoftToken):
    """Or a copy of the older keyring would still open after `destroy`."""
    hsm = token.provider()
    rewrap(folder, site.provider, hsm, Log())
    stolen = folder.keyring()
    rewrap(folder, hsm, KeyFile.create(folder.folder.parent / f"{folder.folder.name}.key"), Log())
    assert token.labels() == []
    with pytest.raises(NotFoundError):
        hsm.unwrap(stolen.model_key)


def test_between_two_tokens_and_on_one(folder: SealedFolder, site: Site, token: SoftToken, token_box: TokenBox):
    one, other = token.provider(), token_box.token("second")
    rewrap(folder, site.provider, one, Log())
    keys = open_all(folder, one)
    rewrap(folder, one, one, Log())
    assert len(token.labels()) == 1
    rewrap(folder, one, other.provider(), Log())
    assert (len(token.labels()), len(other.labels())) == (0, 1)
    assert open_all(folder, other.provider()) == keys


@pytest.mark.parametrize("kind", ["key-file", "pkcs11"])
def test_rotating_makes_a_new_model_key_and_leaves_the_slices(
    folder: SealedFolder, site: Site, token: SoftToken, kind: str
):
    provider: KeyProvider = token.provider() if kind == "pkcs11" else site.provider
    if kind == "pkcs11":
        rewrap(folder, site.provider, provider, Log())
    before, (old, *data_keys), stolen, log = digests(folder), open_all(folder, provider), folder.keyring(), Log()
    rotate(folder, provider, log)
    new, *same = open_all(folder, provider)
    assert new != old
    assert same == data_keys
    assert digests(folder) == before
    assert log.kinds == [EventKind.KEY_ROTATED]
    salts = {entry.salt for entry in (*stolen.data_keys, *folder.keyring().data_keys)}
    assert len(salts) == 4, "no wrapping key is used twice"
    if kind == "pkcs11":
        assert len(token.labels()) == 1
        with pytest.raises(NotFoundError):
            provider.unwrap(stolen.model_key)


def test_destroying_ends_every_copy(folder: SealedFolder, site: Site, token: SoftToken, tmp_path: Path):
    hsm, log = token.provider(), Log()
    rewrap(folder, site.provider, hsm, Log())
    shutil.copytree(folder.folder, tmp_path / "copy")
    other = hsm.wrap(bytes(32))
    done = destroy(folder.folder, "tiny", hsm, log)
    assert "was destroyed" in done.reach
    assert [(event.kind, event.subject) for event in log.events] == [(EventKind.KEY_DESTROYED, "tiny")]
    assert KEYRING not in names(folder.folder)
    copy = SealedFolder.open(tmp_path / "copy", site.authority.pins())
    with pytest.raises(NotFoundError):
        open_all(copy, hsm)
    assert hsm.unwrap(other).view == bytes(32), "another model's key"
    with pytest.raises(NotFoundError, match="no keyring"):
        destroy(folder.folder, "tiny", hsm, log)


def test_destroying_under_a_key_file_says_what_stays(folder: SealedFolder, site: Site):
    keyring = folder.keyring()
    done = destroy(folder.folder, "tiny", site.provider, Log())
    assert "copy of this keyring" in done.reach
    assert KEYRING not in names(folder.folder)
    assert site.provider.unwrap(keyring.model_key), "the shared key file was kept"


def test_only_the_keeper_can_change_or_destroy(folder: SealedFolder, site: Site, tmp_path: Path, token: SoftToken):
    words, before = passphrase(tmp_path), (folder.folder / KEYRING).read_bytes()
    for attempt in (
        lambda: rewrap(folder, words, token.provider(), Log()),
        lambda: rotate(folder, words, Log()),
        lambda: rotate(folder, token.provider(), Log()),
        lambda: destroy(folder.folder, "tiny", words, Log()),
        lambda: rotate(folder, KeyFile.create(tmp_path / "other.key"), Log()),
    ):
        with pytest.raises(UsageError):
            attempt()
        assert (folder.folder / KEYRING).read_bytes() == before
    assert token.labels() == []


def test_what_cannot_be_recorded_is_not_done(folder: SealedFolder, site: Site, token: SoftToken):
    hsm, full = token.provider(), Log(full=True)
    rewrap(folder, site.provider, hsm, Log())
    before, objects = (folder.folder / KEYRING).read_bytes(), token.labels()
    for attempt in (
        lambda: rewrap(folder, hsm, hsm, full),
        lambda: rotate(folder, hsm, full),
        lambda: destroy(folder.folder, "tiny", hsm, full),
    ):
        with pytest.raises(HostError, match="audit"):
            attempt()
        assert (folder.folder / KEYRING).read_bytes() == before
        assert token.labels() == objects
    assert RETIRED not in names(folder.folder)


def test_a_keyring_that_lost_a_data_key_is_not_rotated(folder: SealedFolder, site: Site):
    document = json.loads((folder.folder / KEYRING).read_bytes())
    document["data_keys"].pop()
    write_file(folder.folder / KEYRING, json.dumps(document, sort_keys=True, separators=(",", ":")).encode())
    with pytest.raises(ArtifactError, match="no key"):
        rotate(folder, site.provider, Log())
    assert RETIRED not in names(folder.folder)


def test_a_provider_that_gives_back_another_key_is_not_trusted_with_the_only_one(folder: SealedFolder, site: Site):
    class Forgetful(KeyFile):
        def wrap(self, key: object) -> bytes:
            return super().wrap(bytes(32))

    before = (folder.folder / KEYRING).read_bytes()
    KeyFile.create(folder.folder.parent / f"{folder.folder.name}.key")
    with pytest.raises(HostError, match="another key"):
        rewrap(folder, site.provider, Forgetful(folder.folder.parent / f"{folder.folder.name}.key"), Log())
    assert (folder.folder / KEYRING).read_bytes() == before


# ---- changes that were cut short ---------------------------------------------------------------------------------------


@contextmanager
def cut_short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The change inside ends where it was about to destroy the old key."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(key_changes, "_finish", end)
        with pytest.raises(KeyboardInterrupt):
            yield


def test_an_old_object_that_survived_is_destroyed_by_the_next_change(
    folder: SealedFolder, site: Site, token: SoftToken, monkeypatch: pytest.MonkeyPatch
):
    hsm = token.provider()
    rewrap(folder, site.provider, hsm, Log())
    with cut_short(monkeypatch):
        rotate(folder, hsm, Log())
    assert len(token.labels()) == 2
    open_all(folder, hsm)
    destroy(folder.folder, "tiny", hsm, Log())
    assert token.labels() == []
    assert not {KEYRING, RETIRED} & set(names(folder.folder))


def test_the_same_command_finishes_a_move(
    folder: SealedFolder, site: Site, token: SoftToken, token_box: TokenBox, monkeypatch: pytest.MonkeyPatch
):
    one, other = token.provider(), token_box.token("target")
    rewrap(folder, site.provider, one, Log())
    with cut_short(monkeypatch):
        rewrap(folder, one, other.provider(), Log())
    log = Log()
    with pytest.raises(MohawkError) as refused:
        rotate(folder, other.provider(), log)  # the old object is on the other token: only the move can finish
    assert token.label in refused.value.hint
    assert "was destroyed" in rewrap(folder, one, other.provider(), log).reach
    assert log.events == [], "it was recorded when it began"
    assert (len(token.labels()), len(other.labels())) == (0, 1)
    rotate(folder, other.provider(), log)
    assert RETIRED not in names(folder.folder)


def test_a_move_to_another_kind_is_finished_by_the_same_command_only(
    folder: SealedFolder, site: Site, token: SoftToken, monkeypatch: pytest.MonkeyPatch
):
    hsm = token.provider()
    rewrap(folder, site.provider, hsm, Log())
    with cut_short(monkeypatch):
        rewrap(folder, hsm, site.provider, Log())
    with pytest.raises(UsageError, match="cut short"):
        destroy(folder.folder, "tiny", site.provider, Log())
    rewrap(folder, hsm, site.provider, Log())
    assert token.labels() == []
    open_all(folder, site.provider)
