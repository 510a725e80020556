"""Kill a process while it moves, replaces or destroys a model key on a real token, and see what it left behind (S16).

    SOFTHSM2_CONF=… python -m tests.support.key_crash_points FOLDER ROUNDS SEED TOKEN_URI OTHER_TOKEN_URI

After each kill the keyring opens, and opens the same data keys; the same command then finishes, and no older keyring
opens any more. Of a key that was being destroyed: it opens, or never again.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from mohawk.artifact.keyring import Keyring, parse_keyring, wrap_data_key
from mohawk.crypto.primitives import random_bytes
from mohawk.errors import ArtifactError, NotFoundError
from mohawk.host.files import write_file
from mohawk.host.key_providers import open_key_provider
from mohawk.host.keys import KeyProvider
from mohawk.host.memory import SecretBytes
from mohawk.host.sealed_folder import KEYRING, RETIRED, SealedFolder
from mohawk.nouns.key_source import parse_key_source
from mohawk.publisher.key_changes import destroy, rewrap, rotate
from tests.support.crash_points import kill_and_look
from tests.support.keys import keys_in_clear
from tests.support.slices import DATA_KEY, make_manifest

ONE, OTHER = (open_key_provider(parse_key_source(uri), {}) for uri in sys.argv[4:6])
MANIFEST = make_manifest()
DATA_KEYS = [DATA_KEY for _ in MANIFEST.slices]


class Place:
    """A folder with a keyring that token ONE keeps."""

    def __init__(self, folder: Path) -> None:
        self.folder = SealedFolder(folder, b"", MANIFEST)
        with SecretBytes.random(32) as model_key:
            keys = [wrap_data_key(model_key.view, DATA_KEY, p.context, random_bytes(32)) for p in MANIFEST.slices]
            self.first = Keyring(ONE.name, ONE.wrap(model_key.view), tuple(keys))
        write_file(folder / KEYRING, self.first.encode())
        shutil.copy(folder / KEYRING, folder / "stolen")

    def opens(self, keyring: Keyring, provider: KeyProvider) -> bool:
        try:
            keys = keys_in_clear(provider, keyring, MANIFEST.slices)
        except NotFoundError:
            return False
        assert keys[1:] == DATA_KEYS
        return True

    def require_finished(self, keeper: KeyProvider, found: Keyring) -> None:
        """After the same command once more: the newest keyring opens, and no older one does."""
        assert self.opens(self.folder.keyring(), keeper)
        assert not (self.folder.folder / RETIRED).exists()
        for older in (self.first, found):
            if older != self.folder.keyring():
                assert not self.opens(older, ONE), "an older keyring still opens"
                assert not self.opens(older, OTHER), "an older keyring still opens"


class Rewrapping(Place):
    """From one token to the other."""

    def work(self) -> None:
        rewrap(self.folder, ONE, OTHER, lambda _event: None)

    def check(self) -> str:
        found = self.folder.keyring()
        state = "old" if self.opens(found, ONE) else "new"
        assert state == "old" or self.opens(found, OTHER), "a keyring that opens nowhere"
        if self.opens(self.first, ONE) or (self.folder.folder / RETIRED).exists():
            self.work()
        self.require_finished(OTHER, found)
        return state


class Rotating(Place):
    """A new model key on the same token."""

    def work(self) -> None:
        rotate(self.folder, ONE, lambda _event: None)

    def check(self) -> str:
        found = self.folder.keyring()
        assert self.opens(found, ONE), "a keyring that does not open"
        self.work()
        self.require_finished(ONE, found)
        return "old" if found == self.first else "new"


class Destroying(Place):
    """For ever."""

    def work(self) -> None:
        destroy(self.folder.folder, "tiny", ONE, lambda _event: None)

    def check(self) -> str:
        stolen = parse_keyring((self.folder.folder / "stolen").read_bytes())
        state = "old" if self.opens(stolen, ONE) else "new"
        if (self.folder.folder / KEYRING).exists():
            if state == "new":
                self.require_dead()
            self.work()
        assert not self.opens(stolen, ONE)
        assert not (self.folder.folder / KEYRING).exists()
        return state

    def require_dead(self) -> None:
        try:
            assert not self.opens(self.folder.keyring(), ONE)
        except ArtifactError:  # half overwritten
            pass


if __name__ == "__main__":
    kill_and_look((Rewrapping, Rotating, Destroying), Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
