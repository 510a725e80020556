"""Disks that refuse: a limit on file size, and a real small file system where the kernel allows one."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """The kernel refuses to write beyond `size` bytes of any file (EFBIG): a failing write without a failing disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def run_on_a_small_disk(script: str, disk: Path, *arguments: str) -> list[str]:
    """What `script` prints, run with a 1 MiB file system mounted at `disk`, its first argument. Skips where that needs
    root.
    """
    disk.mkdir()
    if shutil.which("unshare") is None:
        pytest.skip("needs `unshare` (util-linux) to mount a small disk without root")
    mount = f'mount -t tmpfs -o size=1m none "{disk}" && exec "$0" "$@"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount]
    if subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this kernel lets no unprivileged user mount a small disk")
    words = [sys.executable, "-c", script, str(disk), *arguments]
    done = subprocess.run([*command, *words], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
