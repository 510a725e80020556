"""docs/howto/by-hand.md, command by command, on loopback."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
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
LATER = ("mohawk status", "mohawk pki token", "mohawk pki list", "mohawk worker join")
"""What is typed when the controller runs."""


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
    home, lines = folder / "home", [line for line in commands() if line.startswith("mohawk")]
    short = [line for line in lines if not line.startswith((*RUNNING, *LATER))]
    assert len(short) == 9
    write_secret(folder / "passphrase", "correct horse battery staple")
    write_secret(folder / "api.key", "a key of forty characters or so, at least")
    for line in short:
        answer = command(home, *arguments(line, folder))
        assert answer.returncode == 0, (line, answer.stderr)

    worker, controller = (next(line for line in lines if line.startswith(start)) for start in RUNNING)
    ports = free_ports(2)
    addresses = {f"10.0.0.1{number}:8003": f"127.0.0.1:{port}" for number, port in enumerate(ports, start=1)}
    controller = changed(controller, addresses | {"10.0.0.10": "127.0.0.1"})
    words = [*arguments(controller, folder), "--dtype", "bfloat16"]
    started.append(Mohawk(home, *words, "--port", "0", "--operator-port", "0", "--join-port", "0"))
    waiting = started[0].errors_until(r"waiting for worker-1 at .*; join port 127\.0\.0\.1:(\d+)")

    tokens = [line for line in lines if line.startswith("mohawk pki token")]
    join = next(line for line in lines if line.startswith("mohawk worker join"))
    for number, (line, port) in enumerate(zip(tokens, ports, strict=True), start=1):
        issued = command(home, *arguments(changed(line, {"10.0.0.10:8002": f"127.0.0.1:{waiting[1]}"}), folder))
        assert issued.returncode == 0, issued.stderr
        machine, identity = folder / f"worker-{number}", {"--identity identity": f"--identity identity-{number}"}
        joined = command(machine, *arguments(changed(join, identity | {"TOKEN": issued.stdout.strip()}), folder))
        assert joined.returncode == 0, joined.stderr
        here = {"10.0.0.11": "127.0.0.1", "8003": str(port), "--store slices": f"--store slices-{number}"}
        started.append(Mohawk(machine, *arguments(changed(worker, identity | here), folder), "--json"))
    ready = re.search(r"serving tiny on 127\.0\.0\.1:(\d+), operators on (\d+)", started[0].read_until("\n"))
    assert ready is not None
    assert "worker/worker-2" in command(home, "pki", "list").stdout

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

    assert [node.stop() for node in started] == [0, 0, 0]
    assert all("Traceback" not in node.errors.read_text() for node in started)


def changed(line: str, replacements: dict[str, str]) -> str:
    """A command for this machine instead of the howto's."""
    for old, new in replacements.items():
        assert old in line
        line = line.replace(old, new)
    return line


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; the howto names its workers' before they run."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


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
