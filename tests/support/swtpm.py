"""A software TPM with an endorsement certificate of a test vendor, as a real machine's TPM would stand after boot."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mohawk.host.tpm import Tpm, open_tpm
from mohawk.host.tpm_device import open_device
from mohawk.host.tpm_session import Call, permanent
from tests.support.boot_log import ALGORITHMS, Recorded, boot

MISSING = not (shutil.which("swtpm") and shutil.which("swtpm_setup"))
WITHOUT = "a software TPM is needed: apt-get install swtpm swtpm-tools"
_INIT = 2
_STARTUP, _EXTEND = 0x144, 0x182
_PATIENCE = 10.0


class Vendor:
    """A certificate authority of our own for endorsement certificates, nothing of the system's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.setup = folder / "setup.conf"
        names = {"statedir": folder, "signingkey": folder / "signkey.pem", "issuercert": folder / "issuercert.pem"}
        authority = folder / "localca.conf"
        lines = [f"{name} = {path}\n" for name, path in names.items()]
        authority.write_text("".join([*lines, f"certserial = {folder / 'serial'}\n"]))
        options = folder / "options"
        options.write_text("--platform-manufacturer Test\n--platform-version 1\n--platform-model Test\n")
        self.setup.write_text(
            f"create_certs_tool = {shutil.which('swtpm_localca')}\n"
            f"create_certs_tool_config = {authority}\ncreate_certs_tool_options = {options}\n"
        )

    @property
    def roots(self) -> str:
        """What a policy pins: the root, and the authority that signs certificates."""
        root, issuing = self.folder / "swtpm-localca-rootca-cert.pem", self.folder / "issuercert.pem"
        return root.read_text() + issuing.read_text()


@dataclass
class Swtpm:
    """One TPM: its folder is its chip."""

    folder: Path
    vendor: Vendor
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def path(self) -> Path:
        return self.folder / "s"

    @classmethod
    def manufacture(cls, folder: Path, vendor: Vendor, name: str) -> Swtpm:
        command = ["swtpm_setup", "--tpm2", "--tpmstate", str(folder), "--config", str(vendor.setup)]
        command += ["--create-ek-cert", "--pcr-banks", "sha1,sha256,sha384", "--vmid", name]
        result = subprocess.run(command, capture_output=True, check=False, timeout=120)
        assert result.returncode == 0, result.stdout + result.stderr
        return cls(folder, vendor)

    def start(self) -> None:
        state = ["--tpmstate", f"dir={self.folder}", "--flags", "not-need-init,startup-clear"]
        sockets = ["--server", f"type=unixio,path={self.path}", "--ctrl", f"type=unixio,path={self.path}.ctrl"]
        quiet = subprocess.DEVNULL
        command = ["swtpm", "socket", "--tpm2", *state, *sockets]
        self.process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.path)) == 0

    def stop(self) -> None:
        """Power off, as a pulled plug does: no TPM2_Shutdown."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(_PATIENCE)
        self.path.unlink(missing_ok=True)

    @contextmanager
    def open(self) -> Iterator[Tpm]:
        with open_tpm(self.path) as tpm:
            yield tpm

    def reset(self) -> None:
        """Restart the machine: registers are zero again, keys and counters stay."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(_PATIENCE)
            control.connect(f"{self.path}.ctrl")
            control.sendall(struct.pack(">II", _INIT, 0))
            assert control.recv(4) == bytes(4)
        with open_device(self.path) as (exchange, _):  # not `open`: it would ask for what is loaded first
            Tpm(exchange).execute(Call(_STARTUP, (), b"\0\0"))

    def boot(self, events: Sequence[Recorded] = boot()) -> None:
        """Restart, and measure what firmware and boot loader would."""
        self.reset()
        with self.open() as tpm:
            for event in events:
                self.extend(tpm, event.pcr, event.digest)

    @staticmethod
    def extend(tpm: Tpm, pcr: int, digest: Callable[[int], bytes]) -> None:
        values = b"".join(struct.pack(">H", one) + digest(one) for one in ALGORITHMS)
        tpm.execute(Call(_EXTEND, (permanent(pcr),), struct.pack(">I", len(ALGORITHMS)) + values, (None,)))


@contextmanager
def _folder() -> Iterator[Path]:
    """Short: a Unix socket's path holds 107 characters."""
    path = Path(tempfile.mkdtemp(prefix="tpm-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def running(vendor: Vendor, name: str) -> Iterator[Swtpm]:
    with _folder() as folder:
        tpm = Swtpm.manufacture(folder, vendor, name)
        tpm.start()
        try:
            yield tpm
        finally:
            tpm.stop()


@pytest.fixture(scope="session")
def vendor() -> Iterator[Vendor]:
    if MISSING:
        pytest.skip(WITHOUT)
    with _folder() as folder:
        yield Vendor(folder)


@pytest.fixture(scope="session")
def first_tpm(vendor: Vendor) -> Iterator[Swtpm]:
    with running(vendor, "machine-1") as tpm:
        yield tpm


@pytest.fixture(scope="session")
def second_tpm(vendor: Vendor) -> Iterator[Swtpm]:
    with running(vendor, "machine-2") as tpm:
        yield tpm
