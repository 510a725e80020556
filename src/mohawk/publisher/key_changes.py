"""The life of a model key: moved to another provider, replaced, destroyed (docs/spec/sealed-slice.md §4.3).

Rules, and the attack each stops:

1. There is a keyring that opens at every moment, whenever the process is killed: the new one is opened once before it
   takes the old one's name, and the old key is destroyed only when the new keyring is on the disk (S16).
2. Before the new keyring takes its name, the old wrapped key is written down as retired; whichever change comes next
   destroys it first. So no kill leaves behind a key object that nobody remembers and that opens old copies (N07).
3. What must be recorded is recorded first: if the audit log cannot be written, nothing happens.
4. One change at a time: the folder is locked.

No slice changes. A data key stays what it was, so whoever held one reads its slice for ever: sealing again is what
changes data keys.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mohawk.artifact.keyring import MAXIMUM_KEYRING, SALT_SIZE, Keyring, WrappedKey, parse_keyring, wrap_data_key
from mohawk.artifact.manifest import Manifest
from mohawk.audit.events import AuditEvent, EventKind, RecordEvent
from mohawk.crypto.primitives import KEY_SIZE, random_bytes, require_equal
from mohawk.errors import HostError, NotFoundError, UsageError
from mohawk.host.files import erase_file, read_file, translate_errors, write_file
from mohawk.host.keys import KeyProvider, open_model_key, require_keeper
from mohawk.host.memory import SecretBytes
from mohawk.host.sealed_folder import KEYRING, RETIRED, SealedFolder

_ERASED = b"\0"
"""How a keyring begins once `erase_file` has started on it: JSON begins otherwise."""

_DESTROYED_BEFORE = "It was destroyed before this command, by one that was cut short."


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What was done. `provider`: the name of the one that keeps the model key now; `reach`: how far the old key is
    gone, in one honest sentence.
    """

    provider: str
    reach: str


def rewrap(folder: SealedFolder, old: KeyProvider, new: KeyProvider, record: RecordEvent) -> KeyChange:
    """The same model key, kept by `new` instead of `old`, whose own key for it is destroyed.

    Raises UsageError (`old` does not keep it), ArtifactError, HostError; then `old` still keeps it.
    """
    with _locked(folder.folder):
        reach = _settle(folder.folder, old)
        keyring = folder.keyring()
        if reach is not None and _opens(new, keyring):
            return KeyChange(new.name, reach)  # this very change was cut short, and is now complete
        with open_model_key(old, keyring) as model_key, _kept(new, model_key) as blob:
            record(_event(EventKind.KEY_REWRAPPED, folder.manifest, old=old.name, new=new.name))
            _retire(folder.folder, keyring)
        return _replace(folder.folder, Keyring(new.name, blob, keyring.data_keys), keyring, old)


def rotate(folder: SealedFolder, provider: KeyProvider, record: RecordEvent) -> KeyChange:
    """A new model key under the same provider; every data key is wrapped anew, and the old model key is destroyed.

    Raises like `rewrap`.
    """
    with _locked(folder.folder):
        _settle(folder.folder, provider)
        keyring = folder.keyring()
        with (
            open_model_key(provider, keyring) as old,
            SecretBytes.random(KEY_SIZE) as new,
            _kept(provider, new) as blob,
        ):
            data_keys = _rewrap_data_keys(keyring, old, new, folder.manifest)
            record(_event(EventKind.KEY_ROTATED, folder.manifest, provider=provider.name))
            _retire(folder.folder, keyring)
        return _replace(folder.folder, Keyring(provider.name, blob, data_keys), keyring, provider)


def destroy(folder: Path, subject: str, provider: KeyProvider, record: RecordEvent) -> KeyChange:
    """Crypto-shred: the provider's key destroyed, then the keyring overwritten and removed. The slices stay, and open
    nowhere. `subject`: what the event is about. Neither manifest nor slices need be there any more.

    Raises NotFoundError when there is no keyring, and like `rewrap`.
    """
    with _locked(folder):
        if not (folder / KEYRING).exists():
            raise NotFoundError("there is no keyring to destroy", hint="`mohawk keys list` shows where there is one")
        keyring = _read_unless_erased(folder / KEYRING)
        if keyring is not None:
            require_keeper(provider, keyring)
            _settle(folder, provider)
        record(AuditEvent(EventKind.KEY_DESTROYED, subject, {"provider": provider.name}))
        reach = _DESTROYED_BEFORE if keyring is None else provider.destroy(keyring.model_key)
        erase_file(folder / KEYRING)
        return KeyChange(provider.name, reach)


def _settle(folder: Path, provider: KeyProvider) -> str | None:
    """Finish what an earlier change was killed before: destroy the retired key. How far that went; None: no earlier
    change had got so far.
    """
    path = folder / RETIRED
    if not path.exists():
        return None
    retired, reach = _read_unless_erased(path), None
    if retired is None:
        reach = _DESTROYED_BEFORE
    elif retired.model_key != _read(folder / KEYRING).model_key:
        if retired.provider != provider.name:
            raise UsageError(
                f"a change of keys was cut short here, and its old key, kept by {retired.provider}, still exists",
                hint="do that change again, with the same --key and --to, to finish it",
            )
        reach = provider.destroy(retired.model_key)
    erase_file(path)
    return reach


@contextmanager
def _kept(provider: KeyProvider, key: SecretBytes) -> Iterator[bytes]:
    """`key` under `provider`, and it opens. Forgotten there again when the block fails."""
    blob = provider.wrap(key.view)
    try:
        with provider.unwrap(blob) as again:
            require_equal(again.view, key.view, HostError(f"{provider.name} gave back another key than it was given"))
        yield blob
    except BaseException:
        provider.destroy(blob)
        raise


def _retire(folder: Path, keyring: Keyring) -> None:
    """Write down what must be destroyed. Without its data keys: it is to open nothing."""
    write_file(folder / RETIRED, Keyring(keyring.provider, keyring.model_key, ()).encode())


def _replace(folder: Path, new: Keyring, old: Keyring, provider: KeyProvider) -> KeyChange:
    """Let `new` take the name, then have `provider` destroy the old model key. From the first line to the last, both
    keys exist: which keyring a power cut leaves is the disk's choice.
    """
    write_file(folder / KEYRING, new.encode())
    return KeyChange(new.provider, _finish(folder, old, provider))


def _finish(folder: Path, retired: Keyring, provider: KeyProvider) -> str:
    reach = provider.destroy(retired.model_key)
    erase_file(folder / RETIRED)
    return reach


def _rewrap_data_keys(
    keyring: Keyring, old: SecretBytes, new: SecretBytes, manifest: Manifest
) -> tuple[WrappedKey, ...]:
    """Those of all slices. Raises ArtifactError when one is missing or does not open: it would be lost."""
    moved = []
    with SecretBytes(KEY_SIZE) as data_key:
        for part in manifest.slices:
            keyring.unwrap_into(old.view, part.context, data_key.view)
            moved.append(wrap_data_key(new.view, data_key.view, part.context, random_bytes(SALT_SIZE)))
    return tuple(moved)


def _opens(provider: KeyProvider, keyring: Keyring) -> bool:
    try:
        open_model_key(provider, keyring).release()
    except UsageError:
        return False
    return True


def _event(kind: EventKind, manifest: Manifest, **details: str) -> AuditEvent:
    return AuditEvent(kind, manifest.model_id, {"version": str(manifest.version)} | details)


def _read(path: Path) -> Keyring:
    return parse_keyring(read_file(path, MAXIMUM_KEYRING))


def _read_unless_erased(path: Path) -> Keyring | None:
    """None: `erase_file` was killed while it overwrote this one."""
    data = read_file(path, MAXIMUM_KEYRING)
    return None if data[:1] in (b"", _ERASED) else parse_keyring(data)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The folder itself is the lock: no file more in it."""
    with translate_errors("opening a model's folder"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
