"""docs/howto/keys.md, typed into a shell as it is written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.processes import environment
from tests.support.folders import write_folder
from tests.support.softhsm import TokenBox

pytestmark = pytest.mark.e2e

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "keys.md"
TYPED_BY_HAND = ("softhsm2-util", "(umask 077; cat > hsm.pin)")
"""What asks for a PIN on the terminal."""


def test_the_howto_works_as_written(tmp_path: Path, token_box: TokenBox):
    token = token_box.token("mohawk")
    token.pin_file.rename(tmp_path / "hsm.pin")
    write_folder(tmp_path / "MODEL")
    blocks = re.findall(r"```sh\n(.*?)```", HOWTO.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if not line.startswith(TYPED_BY_HAND)]
    assert len(lines) == 9
    python = f'mohawk() {{ "{sys.executable}" -m mohawk "$@"; }}'
    script = "\n".join(["set -eu", python, "mohawk pki init", *lines])
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment(tmp_path / "home"),
        input="y\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "all 2 slices verify" in done.stdout
    assert "is destroyed" in done.stdout
    assert token.labels() == []
