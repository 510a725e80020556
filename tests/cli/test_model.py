"""`mohawk model`: what it tells, and how it refuses: an exit code by whose fault it is, and what to do next."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.commands import Terminal
from tests.support.folders import change_config, write_folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "tiny")


@pytest.fixture
def sealed(mohawk: Terminal, source: Path, tmp_path: Path) -> Path:
    assert mohawk("pki", "init").code == 0
    assert mohawk("model", "seal", source, "--out", tmp_path / "sealed").code == 0
    return tmp_path / "sealed"


def test_inspect(mohawk: Terminal, source: Path):
    facts = json.loads(mohawk("model", "inspect", source, "--json").out)
    assert (facts["model"], facts["family"], facts["layers"], facts["support"]) == ("tiny", "llama", 2, "tested")
    table = mohawk("model", "inspect", source)
    assert table.code == 0
    assert facts["revision"] in table.out


def test_plan(mohawk: Terminal, source: Path):
    slices = json.loads(mohawk("model", "plan", source, "--slices", "2", "--json").out)
    assert [part["slice"] for part in slices] == ["slice_0_0", "slice_1_1"]
    assert "of the model" in mohawk("model", "plan", source).out


def test_more_slices_than_layers(mohawk: Terminal, source: Path):
    answer = mohawk("model", "plan", source, "--slices", "3")
    assert answer.code == 2
    assert answer.err.startswith("error: ")


def test_a_plan_for_measured_workers(mohawk: Terminal, sealed: Path, tmp_path: Path):
    """One that would only hold the other up is left out; what is printed can be given back."""
    workers = [
        {
            "name": name,
            "memory_bytes": 8 << 30,
            "layer": [[1, layer], [32, 8 * layer]],
            "embedding": [[1, 1]],
            "head": [[1, 100]],
            "round_trip_microseconds": 300,
            "bytes_per_second": 1e9,
        }
        for name, layer in (("fast", 1000), ("useless", 30_000))
    ]
    (tmp_path / "measured.json").write_text(json.dumps({"workers": workers}))
    asked = ("model", "plan", sealed, "--explain", "--measurements")
    answer = mohawk(*asked, tmp_path / "measured.json", "--json")
    assert answer.code == 0, answer.err
    explained = json.loads(answer.out)
    assert [stage["worker"] for stage in explained["stages"]] == ["fast"]
    assert explained["left_out"] == ["useless"]
    assert {stage["worker"] for stage in explained["even"]} == {"fast", "useless"}
    assert all(row["tokens_per_second"] > row["even_tokens_per_second"] for row in explained["expected"])
    (tmp_path / "again.json").write_text(answer.out)
    again = mohawk(*asked, tmp_path / "again.json", "--json")
    assert json.loads(again.out)["stages"] == explained["stages"]
    shown = mohawk(*asked, tmp_path / "again.json")
    assert "bottleneck" in shown.out
    assert mohawk("model", "plan", sealed, "--explain").code == 2


def test_seal_then_verify(mohawk: Terminal, sealed: Path):
    assert sorted(path.name for path in sealed.glob("*.sealed")) == ["slice_0_0.sealed", "slice_1_1.sealed"]
    found = json.loads(mohawk("model", "verify", sealed, "--json").out)
    assert found == {"model": "tiny", "version": 1, "slices": 2}
    assert "all 2 slices verify" in mohawk("model", "verify", sealed).out


@pytest.mark.parametrize("command", ["inspect", "plan"])
def test_a_folder_that_is_not_there(mohawk: Terminal, tmp_path: Path, command: str):
    answer = mohawk("model", command, tmp_path / "nowhere")
    assert answer.code in {2, 5, 6}
    assert "hint: " in answer.err


def test_pickled_weights(mohawk: Terminal, source: Path):
    (source / "model.safetensors").rename(source / "pytorch_model.bin")
    answer = mohawk("model", "inspect", source)
    assert answer.code == 5
    assert "hint: " in answer.err


def test_a_pickle_under_another_name(mohawk: Terminal, source: Path):
    (source / "model.safetensors").write_bytes(b"\x80\x04\x95" + bytes(100))
    assert mohawk("model", "inspect", source).code == 5


def test_a_config_that_asks_for_remote_code(mohawk: Terminal, source: Path):
    change_config(source, auto_map={"AutoModelForCausalLM": "modeling.Evil"})
    answer = mohawk("model", "inspect", source)
    assert answer.code == 5
    assert "code" in answer.err


def test_sealing_without_an_authority(mohawk: Terminal, source: Path, tmp_path: Path):
    answer = mohawk("model", "seal", source, "--out", tmp_path / "sealed")
    assert answer.code == 2
    assert "mohawk pki init" in answer.err


def test_verifying_what_is_not_sealed(mohawk: Terminal, sealed: Path, source: Path):
    answer = mohawk("model", "verify", source)
    assert answer.code == 2
    assert "mohawk model seal" in answer.err


def test_a_wrong_passphrase(mohawk: Terminal, source: Path, tmp_path: Path):
    assert mohawk("pki", "init").code == 0
    right, wrong = write_secret(tmp_path / "right", "correct horse"), write_secret(tmp_path / "wrong", "battery staple")
    sealing = mohawk("model", "seal", source, "--out", tmp_path / "sealed", "--key", f"passphrase:{right}")
    assert sealing.code == 0
    assert "passphrase-file: Protects" in sealing.out
    assert mohawk("model", "verify", tmp_path / "sealed", "--key", f"passphrase:{right}").code == 0
    answer = mohawk("model", "verify", tmp_path / "sealed", "--key", f"passphrase:{wrong}")
    assert answer.code in {2, 4}
    assert "error: " in answer.err
    assert mohawk("model", "verify", tmp_path / "sealed").code == 2, "the other kind of key is named, not tried"


def test_a_key_file_that_others_may_read(mohawk: Terminal, sealed: Path):
    (mohawk.home / "keys" / "model.key").chmod(0o644)
    answer = mohawk("model", "verify", sealed)
    assert answer.code == 4
    assert "chmod 600" in answer.err


def test_one_flipped_bit(mohawk: Terminal, sealed: Path):
    slice_file = sealed / "slice_1_1.sealed"
    data = bytearray(slice_file.read_bytes())
    data[-100] ^= 1
    slice_file.write_bytes(data)
    assert mohawk("model", "verify", sealed).code == 5


def test_a_model_of_another_publisher(mohawk: Terminal, sealed: Path, tmp_path: Path):
    assert mohawk("pki", "init", "--pki", tmp_path / "other").code == 0
    answer = mohawk("model", "verify", sealed, "--pki", tmp_path / "other")
    assert answer.code == 4


def write_secret(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path
