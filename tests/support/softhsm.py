"""Real PKCS#11 tokens, made of files: SoftHSM2 with a configuration of its own for each test process."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pkcs11
import pytest

from mohawk.host.key_providers import open_key_provider
from mohawk.host.keys import KeyProvider
from mohawk.nouns.key_source import parse_key_source

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "correct-pin"


@dataclass(frozen=True)
class SoftToken:
    """One token. `pin_file`: 0600."""

    label: str
    pin_file: Path

    def uri(self, more: str = "", module: str = MODULE) -> str:
        """As an operator types it; `more`: further attributes, each with a `;` in front."""
        return f"pkcs11:token={self.label}{more}?module-path={module}&pin-source=file:{self.pin_file}"

    def provider(self) -> KeyProvider:
        return open_key_provider(parse_key_source(self.uri()), {})

    @contextmanager
    def session(self) -> Iterator[pkcs11.Session]:
        """Whoever knows the PIN, with any tool."""
        with pkcs11.lib(MODULE).get_token(token_label=self.label).open(rw=True, user_pin=PIN) as session:
            yield session

    def labels(self) -> list[str]:
        """Of the key objects on it."""
        with self.session() as session:
            return sorted(item[pkcs11.Attribute.LABEL] for item in session.get_objects())


@dataclass(frozen=True)
class TokenBox:
    """A folder of tokens."""

    folder: Path

    def token(self, label: str) -> SoftToken:
        """A fresh one. A library that is loaded already is told to look again."""
        command = ["softhsm2-util", "--module", MODULE, "--init-token", "--free", "--label", label]
        subprocess.run([*command, "--pin", PIN, "--so-pin", "security-officer"], check=True, capture_output=True)
        pkcs11.lib(MODULE).reinitialize()
        pin_file = self.folder / f"{label}.pin"
        pin_file.touch(0o600)
        pin_file.write_text(f"{PIN}\n")
        return SoftToken(label, pin_file)


@pytest.fixture(scope="session")
def token_box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenBox]:
    """Processes that tests start find the same tokens, by SOFTHSM2_CONF."""
    if not (Path(MODULE).exists() and shutil.which("softhsm2-util")):
        pytest.skip("SoftHSM2 is not here: apt-get install softhsm2")
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    yield TokenBox(folder)
    del os.environ["SOFTHSM2_CONF"]
    if before is not None:
        os.environ["SOFTHSM2_CONF"] = before
    pkcs11.unload(MODULE)


@pytest.fixture
def token(token_box: TokenBox, request: pytest.FixtureRequest) -> SoftToken:
    """A token of this test's own."""
    return token_box.token(f"t{abs(hash(request.node.nodeid)) % 10**12}")
