"""A model whose key a token keeps, command by command, each a process of its own: sealed, verified, stolen, destroyed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.e2e.processes import command
from tests.support.folders import write_folder
from tests.support.softhsm import PIN, SoftToken, TokenBox

pytestmark = pytest.mark.e2e


def run(home: Path, *arguments: object) -> str:
    answer = command(home, *map(str, arguments))
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def refuse(home: Path, *arguments: object) -> str:
    answer = command(home, *map(str, arguments))
    assert answer.returncode in {2, 5, 6}, (answer.returncode, answer.stdout, answer.stderr)
    assert "Traceback" not in answer.stderr
    assert PIN not in answer.stdout + answer.stderr
    return answer.stderr


def test_a_stolen_folder_opens_nowhere_else_and_after_destroying_nowhere(
    tmp_path: Path, token: SoftToken, token_box: TokenBox
):
    home, sealed, stolen = tmp_path / "home", tmp_path / "sealed", tmp_path / "stolen"
    run(home, "pki", "init")
    source = write_folder(tmp_path / "tiny")
    said = run(home, "model", "seal", source, "--out", sealed, "--key", token.uri())
    assert "key provider pkcs11" in said
    run(home, "model", "verify", sealed, "--key", token.uri())
    assert len(token.labels()) == 1

    shutil.copytree(sealed, stolen)
    thief = token_box.token("thief-of-folders")
    assert "no key object" in refuse(home, "model", "verify", stolen, "--key", thief.uri())
    assert "kept by pkcs11" in refuse(home, "model", "verify", stolen)
    run(home, "model", "verify", stolen, "--key", token.uri())  # a copy is as good as the original, with the token

    run(home, "keys", "rotate", sealed, "--key", token.uri())
    run(home, "model", "verify", sealed, "--key", token.uri())
    refuse(home, "model", "verify", stolen, "--key", token.uri())
    shutil.rmtree(stolen)
    shutil.copytree(sealed, stolen)

    done = json.loads(run(home, "keys", "destroy", sealed, "--key", token.uri(), "--yes", "--json"))
    assert "was destroyed" in done["reach"]
    assert token.labels() == []
    refuse(home, "model", "verify", stolen, "--key", token.uri())
    refuse(home, "up", stolen, "--key", token.uri(), "--port", "0", "--operator-port", "0")
    assert "no keyring" in refuse(home, "model", "verify", sealed, "--key", token.uri())
