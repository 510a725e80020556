"""docs/howto/by-hand.md, command by command, on loopback."""

from __future__ import annotations

import json
import os
import re
import shlex
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.processes import Mohawk, command
from tests.support.models import build_model

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("up")]

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "by-hand.md"
RUNNING = ("mohawk worker run", "mohawk controller run")


def commands() -> list[str]:
    """What the howto tells to type, continuation lines joined."""
    blocks = re.findall(r"```sh\n(.*?)```", HOWTO.read_text(), re.DOTALL)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]


def arguments(line: str, folder: Path) -> list[str]:
    """What stands behind `mohawk`, MODEL being a folder."""
    return shlex.split(line.replace("MODEL", str(folder / "tiny")))[1:]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    build_model(tmp_path / "tiny", "llama", dtype="bfloat16")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def started() -> Iterator[list[Mohawk]]:
    nodes: list[Mohawk] = []
    yield nodes
    for node in nodes:
        node.kill()


def test_the_howto_works_as_written(folder: Path, started: list[Mohawk]):
    home = folder / "home"
    short = [
        line for line in commands() if line.startswith("mohawk") and not line.startswith((*RUNNING, "mohawk status"))
    ]
    assert len(short) == 11
    write_secret(folder / "passphrase", "correct horse battery staple")
    write_secret(folder / "api.key", "a key of forty characters or so, at least")
    for line in short:
        answer = command(home, *arguments(line, folder))
        assert answer.returncode == 0, (line, answer.stderr)

    worker, controller = (next(line for line in commands() if line.startswith(start)) for start in RUNNING)
    ports = []
    for number in (1, 2):
        line = worker.replace("worker-1", f"worker-{number}").replace("10.0.0.11", "127.0.0.1").replace("8003", "0")
        words = [*arguments(line.replace("--store slices", f"--store slices-{number}"), folder), "--json"]
        started.append(Mohawk(folder / f"worker-{number}", *words))
        ports.append(json.loads(started[-1].read_until("\n"))["port"])
    for number, port in enumerate(ports, start=1):
        controller = controller.replace(f"10.0.0.1{number}:8003", f"127.0.0.1:{port}")
    words = [*arguments(controller, folder), "--port", "0", "--operator-port", "0", "--dtype", "bfloat16"]
    started.append(Mohawk(home, *words))
    ready = re.search(r"serving tiny on 127\.0\.0\.1:(\d+), operators on (\d+)", started[-1].read_until("\n"))
    assert ready is not None

    assert len(ask(folder, int(ready[1]))) == 16
    status = command(
        home,
        "status",
        "--identity",
        "identities/operator",
        "--controller",
        f"controller@127.0.0.1:{ready[2]}",
        "--json",
    )
    assert status.returncode == 0, status.stderr
    assert {hop["session"]["group"] for hop in json.loads(status.stdout)["hops"]} == {"X25519MLKEM768"}
    assert json.loads(status.stdout)["key_provider"].startswith("passphrase-file: ")

    assert started[2].stop() == 0
    assert [node.stop() for node in started[:2]] == [0, 0]
    assert all("Traceback" not in node.errors.read_text() for node in started)


def ask(folder: Path, port: int) -> list[int]:
    """Sixteen tokens in bfloat16."""
    context = ssl.create_default_context(cafile=str(folder / "identities" / "api" / "root.pem"))
    headers = {"authorization": f"Bearer {(folder / 'api.key').read_text()}"}
    body = {"model": "tiny", "prompt": [5, 6, 7], "max_tokens": 16, "seed": 3, "return_token_ids": True}
    with httpx.Client(verify=context, headers=headers, trust_env=False, timeout=60) as http:
        answer = http.post(f"https://localhost:{port}/v1/completions", json=body)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["choices"][0]["token_ids"])


def write_secret(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
