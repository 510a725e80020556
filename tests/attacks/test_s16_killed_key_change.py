"""S16, for keys: kill -9 at random points while a model key is moved to another token, replaced, or destroyed.

Expected: after each kill there is a keyring that opens the same data keys (of one that was being destroyed: it opens, or
never again); the same command then finishes, and no copy of an older keyring opens.

Defence: publisher/key_changes.py:_replace (the old key is destroyed after the new keyring is on the disk); removed, a
kill between the two leaves a model that opens nowhere. Defence: publisher/key_changes.py:_retire (what is to be
destroyed is written down first); removed, a kill leaves a forgotten key object that opens old copies for ever.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.softhsm import SoftToken, TokenBox

ROUNDS = 90


def test_a_keyring_that_opens_or_none(tmp_path: Path, token: SoftToken, token_box: TokenBox) -> None:
    command = [sys.executable, "-m", "tests.support.key_crash_points", str(tmp_path), str(ROUNDS), "16"]
    command += [token.uri(), token_box.token("move-to").uri()]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    counts = {name: int(count) for name, count in (line.split(": ") for line in done.stdout.splitlines())}
    assert counts["killed"] == ROUNDS
    for work in ("Rewrapping", "Rotating", "Destroying"):
        assert counts[f"{work} old"] > 0
        assert counts[f"{work} new"] > 0
