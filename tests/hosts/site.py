"""A cluster by hand on several hosts: every part a process on its own machine, as an operator would start it."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.processes import START_SECONDS, Mohawk, command, environment
from tests.hosts.network import Host, network

ASK = """
import json, ssl, sys, httpx
url, root, key, body = sys.argv[1:]
context = ssl.create_default_context(cafile=root)
with httpx.Client(verify=context, headers={"authorization": f"Bearer {key}"}, trust_env=False, timeout=60) as client:
    answer = client.post(url + "/completions", json=json.loads(body))
print(json.dumps([answer.status_code, answer.json()]))
"""
"""One request to the API, from whatever host it is run on."""


AGAIN_SECONDS = 20.0
"""Operators ask about one worker once in ten seconds."""


@dataclass
class HostedCluster:
    """`folder`: one home for each host below it. `nodes`: running processes by name."""

    folder: Path
    hosts: dict[str, Host]
    nodes: dict[str, Mohawk] = field(default_factory=dict)

    def home(self, host: str) -> Path:
        return self.folder / host

    def run(self, host: str, *arguments: object, code: int = 0) -> str:
        """A short `mohawk` command on a host; its output. Asked about one worker too soon, it asks again."""
        deadline = time.monotonic() + AGAIN_SECONDS
        while True:
            answer = command(
                self.home(host), *map(str, arguments), inside=self.hosts[host].inside, cwd=self._folder_of(host)
            )
            if "ask again in ten seconds" not in answer.stderr or time.monotonic() > deadline:
                break
            time.sleep(1)
        assert answer.returncode == code, (arguments, answer.returncode, answer.stdout, answer.stderr)
        return answer.stdout or answer.stderr

    def start(self, name: str, host: str, *arguments: object) -> Mohawk:
        """A long one."""
        self._folder_of(host)
        node = Mohawk(self.home(host), *map(str, arguments), inside=self.hosts[host].inside)
        self.nodes[name] = node
        return node

    def program(self, host: str, text: str, *arguments: object) -> str:
        """Somebody's own Python on a host."""
        answer = subprocess.run(
            [*self.hosts[host].inside, sys.executable, "-c", text, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
            env=environment(self.home(host)),
            cwd=Path(__file__).parents[2],
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def prepare(self, source: Path, workers: Sequence[str]) -> None:
        """Authority, identities, sealed model and secrets on the operator's host."""
        operator = self.home("operator")
        self.run("operator", "pki", "init", "--domain", "mesh.example")
        address = self.hosts["operator"].address
        for role, name in (("controller", "controller"), ("operator", "alice"), ("operator", "bob"), ("api", address)):
            folder = "api" if role == "api" else name
            self.run("operator", "pki", "issue", role, name, "--out", operator / "identities" / folder)
        self.run("operator", "model", "seal", source, "--slices", len(workers), "--out", operator / "sealed")
        secret = operator / "api.key"
        secret.touch(0o600)
        secret.write_text("a key of forty characters or so, at least")

    def start_controller(self, workers: Sequence[str], *more: object) -> Mohawk:
        """Every one of these workers gets a stage: what is measured on a busy machine must not leave one out."""
        operator, address = self.home("operator"), self.hosts["operator"].address
        targets = [part for name in workers for part in ("--worker", f"{name}={self.hosts[name].address}:8003")]
        identities = operator / "identities"
        return self.start(
            "controller",
            "operator",
            *("controller", "run", "--model", operator / "sealed", "--identity", identities / "controller"),
            *("--api-identity", identities / "api", "--api-key-file", operator / "api.key", "--dtype", "float32"),
            *("--host", address, "--join-host", address, "--plan", "even", *targets, *more),
        )

    def token(self, name: str, *more: object) -> str:
        address = self.hosts["operator"].address
        return self.run("operator", "pki", "token", name, "--controller", f"{address}:8002", *more).strip()

    def join(self, host: str, token: str, name: str = "") -> None:
        self.run(host, "worker", "join", token, "--identity", self.home(host) / name / "identity")

    def start_worker(self, host: str, *more: object, name: str = "") -> Mohawk:
        """`name`: one of several on this host, with a folder of its own below the host's home."""
        home, address = self.home(host) / name, self.hosts[host].address
        where = ("--identity", home / "identity", "--store", home / "slices", "--host", address, "--threads", "1")
        return self.start(name or host, host, "worker", "run", *where, *more)

    def ask(self, host: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """A completion from the API, as a client on `host` gets it."""
        operator, address = self.home("operator"), self.hosts["operator"].address
        root, key = operator / "identities" / "api" / "root.pem", (operator / "api.key").read_text()
        said = self.program(host, ASK, f"https://{address}:8443/v1", root, key, json.dumps(body))
        status, answer = json.loads(said)
        return int(status), dict(answer)

    def operate(self, who: str, *arguments: object, code: int = 0) -> str:
        """`mohawk operator …` by alice or bob."""
        address = self.hosts["operator"].address
        identity = self.home("operator") / "identities" / who
        where = ("--controller", f"controller@{address}:8004", "--identity", identity)
        return self.run("operator", *arguments, *where, code=code)

    def _folder_of(self, host: str) -> Path:
        folder = self.home(host)
        folder.mkdir(parents=True, exist_ok=True)
        return folder


@contextmanager
def hosted(folder: Path, *names: str) -> Iterator[HostedCluster]:
    """Hosts of these names, and nothing running on them yet; everything is gone at the end."""
    with network(*names) as hosts:
        cluster = HostedCluster(folder, hosts)
        try:
            yield cluster
        finally:
            for node in cluster.nodes.values():
                node.kill()


class Loopback(Host):
    """Not a host of its own: an address of this machine's, so that ports are free there."""

    @property
    def inside(self) -> tuple[str, ...]:
        return ()


@contextmanager
def on_loopback(folder: Path, *names: str) -> Iterator[HostedCluster]:
    """As `hosted`, where nothing happens to the network: it needs no root. Addresses that no other cluster has, on this
    machine or before on it, so that what was killed a moment ago is in nobody's way.
    """
    site = f"127.{64 + secrets.randbelow(128)}.{secrets.randbelow(256)}"
    addresses = enumerate(names, start=1)
    cluster = HostedCluster(folder, {name: Loopback(name, f"{site}.{number}", "", "") for number, name in addresses})
    try:
        yield cluster
    finally:
        for node in cluster.nodes.values():
            node.kill()
