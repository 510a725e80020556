"""S16: kill -9 at 100 random points while a slice is sealed, received by a store, or a version is remembered.

Expected: the old file or the new one, never a mixture; an interrupted upload resumes to the right slice.

Defence: host/files.py:replace_file (write beside, sync, rename); removed (writing in place), a killed writer leaves
half a slice or an empty version record. Defence: host/slice_store.py:finish (rename after the hash); removed, a part
bears a complete slice's name.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 100


def test_old_or_new(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.crash_points", str(tmp_path), str(ROUNDS), "16"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    counts = {name: int(count) for name, count in (line.split(": ") for line in done.stdout.splitlines())}
    assert counts["killed"] == ROUNDS
    for work in ("Sealing", "Storing", "Remembering"):
        assert counts[f"{work} old"] > 0
        assert counts[f"{work} new"] > 0
