"""A model whose key a TPM keeps, command by command, each a process of its own: moved there, stolen, destroyed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.test_key_on_a_token import refuse, run
from tests.support.folders import write_folder
from tests.support.swtpm import Swtpm

pytestmark = pytest.mark.e2e


def test_a_stolen_folder_opens_in_no_other_machine_and_after_destroying_in_none(
    tmp_path: Path, first_tpm: Swtpm, second_tpm: Swtpm
):
    for machine in (first_tpm, second_tpm):
        machine.boot()
    home, sealed, stolen = tmp_path / "home", tmp_path / "sealed", tmp_path / "stolen"
    here, elsewhere = (f"tpm:{machine.path}" for machine in (first_tpm, second_tpm))
    run(home, "pki", "init")
    run(home, "model", "seal", write_folder(tmp_path / "tiny"), "--out", sealed)
    run(home, "keys", "rewrap", sealed, "--to", here)
    run(home, "model", "verify", sealed, "--key", here)

    shutil.copytree(sealed, stolen)
    answer = refuse(home, "model", "verify", stolen, "--key", elsewhere)
    assert "does not hold this model key" in answer
    assert "kept by tpm" in refuse(home, "model", "verify", stolen)

    run(home, "keys", "destroy", sealed, "--key", here, "--yes")
    assert "does not hold this model key" in refuse(home, "model", "verify", stolen, "--key", here)
