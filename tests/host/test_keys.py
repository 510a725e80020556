"""Protects the model key at rest: another secret does not open it, careless files are refused, cost is bounded when
read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mohawk.artifact.keyring import Keyring
from mohawk.errors import ArtifactError, HostError, MohawkError, RemoteError, UsageError
from mohawk.host.keys import KeyFile, KeyProvider, PassphraseFile, open_model_key

if TYPE_CHECKING:
    from pathlib import Path

MODEL_KEY = bytes(range(32))


def passphrase_file(folder: Path, text: bytes = b"six quite random words or more\n") -> PassphraseFile:
    path = folder / "passphrase"
    path.write_bytes(text)
    path.chmod(0o600)
    return PassphraseFile(path)


@pytest.fixture(params=["key-file", "passphrase-file"])
def provider(request: pytest.FixtureRequest, tmp_path: Path) -> KeyProvider:
    return KeyFile.create(tmp_path / "model.key") if request.param == "key-file" else passphrase_file(tmp_path)


def test_round_trip(provider: KeyProvider) -> None:
    blob = provider.wrap(MODEL_KEY)
    assert provider.unwrap(blob).view == MODEL_KEY
    assert MODEL_KEY not in blob
    assert provider.wrap(MODEL_KEY) != blob
    assert provider.name in ("key-file", "passphrase-file")
    assert "not" in provider.describe()


def test_altered_blobs_raise(provider: KeyProvider) -> None:
    blob = provider.wrap(MODEL_KEY)
    for at in (0, 1, 40, -1):
        altered = bytearray(blob)
        altered[at] ^= 0x40
        with pytest.raises(MohawkError):
            provider.unwrap(bytes(altered))
    for size in (0, 1, len(blob) - 1):
        with pytest.raises(ArtifactError):
            provider.unwrap(blob[:size])
    with pytest.raises(ArtifactError):
        provider.unwrap(blob + b"x")


def test_another_secret_does_not_open(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    with pytest.raises(UsageError, match="does not open"):
        KeyFile.create(two / "key").unwrap(KeyFile.create(one / "key").wrap(MODEL_KEY))
    blob = passphrase_file(one).wrap(MODEL_KEY)
    with pytest.raises(UsageError, match="does not open"):
        passphrase_file(two, b"six other random words").unwrap(blob)
    assert passphrase_file(two, b"six quite random words or more").unwrap(blob).view == MODEL_KEY


@pytest.mark.parametrize("log2_cost", [0, 16, 21, 255])
def test_cost_in_the_blob_is_bounded(tmp_path: Path, log2_cost: int) -> None:
    provider = passphrase_file(tmp_path)
    with pytest.raises(RemoteError):
        provider.unwrap(bytes([log2_cost]) + bytes(80))


def test_short_and_long_passphrases(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="12"):
        passphrase_file(tmp_path, b"too short\n").wrap(MODEL_KEY)
    with pytest.raises(HostError):
        passphrase_file(tmp_path, b"x" * 1025).wrap(MODEL_KEY)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_secrets_that_others_may_read_are_refused(tmp_path: Path, mode: int) -> None:
    provider = KeyFile.create(tmp_path / "model.key")
    (tmp_path / "model.key").chmod(mode)
    with pytest.raises(MohawkError, match="others"):
        provider.wrap(MODEL_KEY)


def test_key_files_are_born_private_and_never_overwritten(tmp_path: Path) -> None:
    KeyFile.create(tmp_path / "model.key")
    before = (tmp_path / "model.key").read_bytes()
    assert (tmp_path / "model.key").stat().st_mode & 0o777 == 0o600
    assert len(before) == 32
    with pytest.raises(HostError):
        KeyFile.create(tmp_path / "model.key")
    assert (tmp_path / "model.key").read_bytes() == before


def test_broken_or_missing_key_files(tmp_path: Path) -> None:
    with pytest.raises(HostError):
        KeyFile(tmp_path / "absent").wrap(MODEL_KEY)
    (tmp_path / "short").write_bytes(bytes(31))
    (tmp_path / "short").chmod(0o600)
    with pytest.raises(HostError, match="size"):
        KeyFile(tmp_path / "short").wrap(MODEL_KEY)


def test_what_destroying_can_and_cannot_do_is_said(provider: KeyProvider) -> None:
    """A secret that others need is not destroyed for one model; the sentence says what that means."""
    blob = provider.wrap(MODEL_KEY)
    assert "copy of" in provider.destroy(blob)
    assert provider.unwrap(blob).view == MODEL_KEY
    with pytest.raises(ArtifactError):
        provider.destroy(blob[:-1])


def test_another_kind_of_provider_is_named_and_not_tried(tmp_path: Path) -> None:
    """Their blobs are of equal size: one would call the other's broken."""
    keyring = Keyring("passphrase-file", passphrase_file(tmp_path).wrap(MODEL_KEY), ())
    assert open_model_key(passphrase_file(tmp_path), keyring).view == MODEL_KEY
    with pytest.raises(UsageError, match="kept by passphrase-file, not by key-file"):
        open_model_key(KeyFile.create(tmp_path / "model.key"), keyring)
