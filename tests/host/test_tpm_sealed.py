"""Protects the model key in a TPM: it opens in this machine, booted as it was, and nowhere else; destroyed, nowhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mohawk.artifact.keyring import MAXIMUM_BLOB
from mohawk.crypto import canonical
from mohawk.errors import ArtifactError, HostError, PolicyError, UsageError
from mohawk.host.keys import KeyProvider
from mohawk.host.tpm import Command, open_tpm
from mohawk.host.tpm_device import TpmError
from mohawk.host.tpm_keys import open_endorsement
from mohawk.host.tpm_sealed import TpmSealed
from mohawk.host.tpm_session import Call, Entity
from tests.support.boot_log import boot
from tests.support.swtpm import Swtpm, Vendor, running
from tests.support.tpm_bus import code, probed

MODEL_KEY = bytes(range(100, 132))


@pytest.fixture
def tpm(first_tpm: Swtpm) -> Iterator[Swtpm]:
    first_tpm.boot()
    before = handles(first_tpm)
    yield first_tpm
    left = handles(first_tpm) - before
    with first_tpm.open() as open_tpm:
        for handle in left:
            open_tpm.evict(Entity(handle, open_tpm.read_public(handle)[1]), handle)


@pytest.fixture
def provider(tpm: Swtpm) -> TpmSealed:
    return TpmSealed(tpm.path)


def opened(provider: KeyProvider, blob: bytes) -> bytes:
    with provider.unwrap(blob) as key:
        return bytes(key.view)


def handles(machine: Swtpm) -> set[int]:
    with machine.open() as tpm:
        return set(tpm.handles(0x81000000))


def test_round_trip(provider: TpmSealed) -> None:
    keys: KeyProvider = provider
    blob = keys.wrap(MODEL_KEY)
    assert opened(keys, blob) == MODEL_KEY
    assert keys.name == "tpm"
    assert "not from root" in keys.describe()
    assert len(blob) <= MAXIMUM_BLOB
    for part in (MODEL_KEY, MODEL_KEY.hex().encode()):
        assert part not in blob


def test_two_keys_at_once(provider: TpmSealed) -> None:
    blobs = [provider.wrap(bytes([number]) * 32) for number in (1, 2, 3)]
    assert [opened(provider, blob)[0] for blob in blobs] == [1, 2, 3]


def test_it_survives_a_restart(provider: TpmSealed, tpm: Swtpm) -> None:
    blob = provider.wrap(MODEL_KEY)
    tpm.stop()
    tpm.start()
    tpm.boot()
    assert opened(provider, blob) == MODEL_KEY


def test_another_boot_loader_does_not_get_it(provider: TpmSealed, tpm: Swtpm) -> None:
    blob = provider.wrap(MODEL_KEY)
    tpm.boot(boot(loader=b"a boot kit"))
    with pytest.raises(PolicyError, match="booted something else"):
        provider.unwrap(blob)
    tpm.boot()
    assert opened(provider, blob) == MODEL_KEY


def test_another_machine_does_not_get_it(provider: TpmSealed, second_tpm: Swtpm) -> None:
    blob = provider.wrap(MODEL_KEY)
    second_tpm.boot()
    with pytest.raises(HostError, match="does not hold"):
        TpmSealed(second_tpm.path).unwrap(blob)


def test_destroyed_is_destroyed(provider: TpmSealed, tpm: Swtpm) -> None:
    """For somebody who copied everything that was ever on disk, too."""
    blob = provider.wrap(MODEL_KEY)
    handle = json.loads(blob)["handle"]
    assert handle in handles(tpm)
    assert "gone" in provider.destroy(blob)
    assert handle not in handles(tpm)
    with pytest.raises(HostError, match="does not hold"):
        provider.unwrap(blob)
    assert "gone" in provider.destroy(blob), "a change that was killed in between can be finished"


def test_another_machine_does_not_say_that_it_destroyed_it(provider: TpmSealed, second_tpm: Swtpm) -> None:
    blob = provider.wrap(MODEL_KEY)
    second_tpm.boot()
    with pytest.raises(HostError, match="another endorsement key"):
        TpmSealed(second_tpm.path).destroy(blob)
    assert opened(provider, blob) == MODEL_KEY


def test_it_is_sealed_to_the_registers_that_were_asked_for(tpm: Swtpm) -> None:
    """To firmware and Secure Boot state only: another boot loader changes PCR 4, and nothing here."""
    blob = TpmSealed(tpm.path, (0, 7)).wrap(MODEL_KEY)
    tpm.boot(boot(loader=b"the next version"))
    assert opened(TpmSealed(tpm.path), blob) == MODEL_KEY


def test_a_destroyed_keys_handle_taken_by_another(provider: TpmSealed) -> None:
    """The old blob neither opens nor destroys what lies there now."""
    old = provider.wrap(MODEL_KEY)
    provider.destroy(old)
    new = provider.wrap(MODEL_KEY)
    assert json.loads(new)["handle"] == json.loads(old)["handle"]
    provider.destroy(old)
    with pytest.raises(HostError, match="does not hold"):
        provider.unwrap(old)
    assert opened(provider, new) == MODEL_KEY


def test_without_the_secret_in_the_keyring(provider: TpmSealed, tpm: Swtpm) -> None:
    """Another user of the TPM, on the right boot, knows the handle only."""
    fields = json.loads(provider.wrap(MODEL_KEY))
    with pytest.raises(TpmError, match="unseal"):
        provider.unwrap(canonical.encode(fields | {"auth": bytes(32)}))
    with tpm.open() as open_tpm:
        name = open_tpm.read_public(fields["handle"])[1]
        with pytest.raises(TpmError):
            open_tpm.execute(Call(Command.UNSEAL, (Entity(fields["handle"], name),), b"", (None,)))


def test_unmeasured_registers_are_not_sealed_to(provider: TpmSealed, tpm: Swtpm) -> None:
    tpm.reset()
    with pytest.raises(PolicyError, match="holds nothing"):
        provider.wrap(MODEL_KEY)


def test_the_key_never_crosses_the_bus(tpm: Swtpm) -> None:
    """Neither when it is sealed nor when it is opened."""
    with probed(tpm.path, tpm.folder / "bus") as bus:
        provider = TpmSealed(bus.path)
        assert opened(provider, provider.wrap(MODEL_KEY)) == MODEL_KEY
    assert Command.UNSEAL in map(code, bus.said())
    assert not bus.holds(MODEL_KEY[:8])


def test_a_chip_in_between_offers_its_own_key(tpm: Swtpm, second_tpm: Swtpm) -> None:
    """A genuine chip, certified like ours. It answers for the endorsement key, to have the session salted to its own."""
    blob = TpmSealed(tpm.path).wrap(MODEL_KEY)
    with probed(second_tpm.path, tpm.folder / "bus") as bus, open_tpm(bus.path) as other:
        open_endorsement(other)
    theirs = {command: answer for command, answer in bus.said().items() if code(command) != Command.GET_CAPABILITY}
    assert len(theirs) > 3
    with probed(tpm.path, tpm.folder / "bus") as bus:
        bus.change = theirs.get
        with pytest.raises(HostError, match="another endorsement key"):
            TpmSealed(bus.path).unwrap(blob)


def test_altered_blobs(provider: TpmSealed) -> None:
    fields = json.loads(provider.wrap(MODEL_KEY))
    for field, value in (
        ("handle", 0x81000001),
        ("handle", -1),
        ("name", ""),
        ("auth", "AAAA"),
        ("salt_key", "AAAA"),
        ("format", "mie-tpm-sealed-2"),
        ("pcrs", 0),
        ("pcrs", 1 << 24),
    ):
        with pytest.raises(ArtifactError):
            provider.unwrap(canonical.encode(fields | {field: value}))
    for data in (b"", b"{}", b"x" * 5000):
        with pytest.raises(ArtifactError):
            provider.unwrap(data)
    with pytest.raises(UsageError):
        provider.wrap(b"short")


def test_all_files_copied_before_it_was_destroyed(vendor: Vendor, tmp_path: Path) -> None:
    """What is not protected: a *virtual* TPM's chip is a file as well. Copied before, it still holds the key."""
    with running(vendor, "machine-5") as machine:
        machine.boot()
        blob = TpmSealed(machine.path).wrap(MODEL_KEY)
        machine.stop()
        shutil.copy(machine.folder / "tpm2-00.permall", tmp_path / "chip")
        machine.start()
        TpmSealed(machine.path).destroy(blob)
        machine.stop()
        shutil.copy(tmp_path / "chip", machine.folder / "tpm2-00.permall")
        machine.start()
        machine.boot()
        assert opened(TpmSealed(machine.path), blob) == MODEL_KEY
