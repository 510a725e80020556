"""Settings: each variable of the security guide is read; what weakens a mandatory protection, is not understood, or is
misspelled stops the start.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mohawk.config import Settings, load_settings, variable
from mohawk.errors import UsageError

ROOT = Path(__file__).parent.parent
GUIDE = {
    "MIE_ENABLE_PQC": "true",
    "MIE_REPLAY_PROTECTION_ENABLED": "true",
    "MIE_NONCE_EXPIRY_SECONDS": "3600",
    "MIE_WORKER_CERT_PATH": "/etc/mohawk/worker.crt",
    "MIE_WORKER_KEY_PATH": "/etc/mohawk/worker.key",
    "MIE_TPM_ATTESTATION_REQUIRED": "true",
    "MIE_WEIGHT_ENCRYPTION_ENABLED": "true",
    "MIE_CIRCUIT_BREAKER_THRESHOLD": "5",
    "MIE_MAX_CONCURRENT_SESSIONS": "1000",
}
"""As the security guide sets them, word for word."""
MANDATORY = ("MIE_ENABLE_PQC", "MIE_REPLAY_PROTECTION_ENABLED", "MIE_WEIGHT_ENCRYPTION_ENABLED")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("MIE_"):
            monkeypatch.delenv(name)


def load(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    with monkeypatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        return load_settings()


def test_every_variable_of_the_guide_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, **GUIDE)
    assert settings.worker_cert_path == Path("/etc/mohawk/worker.crt")
    assert settings.worker_key_path == Path("/etc/mohawk/worker.key")
    assert settings.tpm_attestation_required is True
    assert (settings.nonce_expiry_seconds, settings.circuit_breaker_threshold) == (3600, 5)
    assert settings.max_concurrent_sessions == 1000


def test_the_defaults_are_the_guide_s(monkeypatch: pytest.MonkeyPatch) -> None:
    optional = {"MIE_WORKER_CERT_PATH", "MIE_WORKER_KEY_PATH", "MIE_TPM_ATTESTATION_REQUIRED"}
    required = {name: value for name, value in GUIDE.items() if name not in optional}
    assert load(monkeypatch, **required) == load(monkeypatch)


@pytest.mark.parametrize("name", MANDATORY)
@pytest.mark.parametrize("value", ["false", "0", "no", "off", "False", " false", "", "fales", "none", "2"])
def test_a_mandatory_protection_has_no_switch(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    with pytest.raises(UsageError) as refusal:
        load(monkeypatch, **{name: value})
    assert name in refusal.value.message
    assert refusal.value.field == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MIE_NONCE_EXPIRY_SECONDS", "59"),
        ("MIE_NONCE_EXPIRY_SECONDS", "86401"),
        ("MIE_NONCE_EXPIRY_SECONDS", "1h"),
        ("MIE_NONCE_EXPIRY_SECONDS", "3600.5"),
        ("MIE_CIRCUIT_BREAKER_THRESHOLD", "0"),
        ("MIE_CIRCUIT_BREAKER_THRESHOLD", "101"),
        ("MIE_CIRCUIT_BREAKER_THRESHOLD", "-1"),
        ("MIE_MAX_CONCURRENT_SESSIONS", "0"),
        ("MIE_MAX_CONCURRENT_SESSIONS", "100001"),
        ("MIE_MAX_CONCURRENT_SESSIONS", "nan"),
        ("MIE_TPM_ATTESTATION_REQUIRED", "maybe"),
        ("MIE_API_REQUIRE_PQ", ""),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(UsageError) as refusal:
        load(monkeypatch, **{name: value})
    assert refusal.value.message.startswith(f"{name}: ")
    assert f"unset {name}" in refusal.value.hint
    assert len(refusal.value.hint) > 100, "what the setting decides"
    assert refusal.value.exit_code == 2


@pytest.mark.parametrize("name", ["MIE_NONCE_EXPIRY_SECONDS", "MIE_CIRCUIT_BREAKER_THRESHOLD"])
def test_the_bounds_themselves_are_allowed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for value in ("60", "100"):
        load(monkeypatch, **{name: value})


@pytest.mark.parametrize("name", ["MIE_WORKER_CERT_PATH", "MIE_WORKER_KEY_PATH"])
def test_a_certificate_and_its_key_go_together(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with pytest.raises(UsageError, match="go together"):
        load(monkeypatch, **{name: "/etc/mohawk/worker"})


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("MIE_ENABLE_PCQ", "MIE_ENABLE_PQC"),
        ("MIE_REPLAY_PROTECTION_ENABLE", "MIE_REPLAY_PROTECTION_ENABLED"),
        ("MIE_TPM_ATTESTATION", "MIE_TPM_ATTESTATION_REQUIRED"),
        ("mie_enable_pqc", "MIE_ENABLE_PQC"),
        ("Mie_Api_Require_Pq", "MIE_API_REQUIRE_PQ"),
        ("MIE_", "MIE_"),
        ("MIE_WORKER_SERVICE_HOST", "MIE_"),
    ],
)
def test_a_misspelled_name_is_refused_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch, name: str, nearest: str
) -> None:
    """Ignored in silence, it would leave a protection at its default while somebody believes it is set."""
    with pytest.raises(UsageError) as refusal:
        load(monkeypatch, **{name: "true"})
    assert refusal.value.message.startswith(name)
    assert nearest in refusal.value.hint
    assert refusal.value.exit_code == 2


def test_a_name_that_would_steer_a_terminal_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError) as refusal:
        load(monkeypatch, **{"MIE_\x1b[2J\r\n" + "x" * 200: "1"})
    assert refusal.value.message.isprintable()
    assert len(refusal.value.message) < 120


def test_a_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, MIE_KEY_PASSWORD="correct horse")
    assert "correct horse" not in f"{settings!r} {settings}"
    assert settings.key_password is not None
    assert settings.key_password.get_secret_value() == "correct horse"


def test_every_setting_says_what_it_decides() -> None:
    assert {name for name, info in Settings.model_fields.items() if not info.description} == set()


def test_the_reference_is_what_the_code_says() -> None:
    script = ROOT / "scripts" / "generate_settings.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = (ROOT / "docs" / "reference" / "settings.md").read_text()
    assert re.findall(r"^\| `(MIE_\w+)`", text, re.MULTILINE) == [variable(name) for name in Settings.model_fields]


@pytest.mark.parametrize(
    "command",
    [
        ["up"],
        ["demo"],
        ["worker", "run", "--identity", "nowhere", "--store", "nowhere"],
        ["controller", "run", "--model", "x", "--identity", "x", "--worker", "w1=h:1", "--api-identity", "x"]
        + ["--api-key-file", "x"],
    ],
    ids=["up", "demo", "worker", "controller"],
)
@pytest.mark.parametrize("setting", [("MIE_ENABLE_PQC", "false"), ("MIE_ENABLE_PCQ", "true")], ids=["weak", "typo"])
def test_no_node_starts(tmp_path: Path, command: list[str], setting: tuple[str, str]) -> None:
    """Whatever its options: nothing is opened, written or asked for first."""
    environment = os.environ | {"MIE_HOME": str(tmp_path / "home")} | dict([setting])
    words = [sys.executable, "-m", "mohawk", *command]
    done = subprocess.run(
        words, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2, done.stderr
    assert setting[0] in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_controller_does_not_start_without_the_policy_that_is_required(tmp_path: Path) -> None:
    environment = os.environ | {"MIE_HOME": str(tmp_path / "home"), "MIE_TPM_ATTESTATION_REQUIRED": "true"}
    words = [sys.executable, "-m", "mohawk", "up", "-n", "1", "--port", "0", "--operator-port", "0"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "the key-release policy asks for no TPM" in done.stderr
