"""The two servers that are compared, each as a user would start it: `mohawk up` over two workers, and llama.cpp's
`llama-server` over two of its RPC servers.

Both get the same number of compute threads and the same `GOMP_SPINCOUNT`. The peer speaks plain TCP and HTTP; Mohawk
does what it always does.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bench.peer import Peer
from mohawk.cli.worker import SPIN_COUNT

START_SECONDS = 180.0
STOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Server:
    """One that answers now. `roots`: whom to trust, None for plain HTTP. `log`: what it says while it runs.
    `processes`: role -> process id. `operators`: where `mohawk status` asks.
    """

    name: str
    host: str
    port: int
    model: str
    key: str
    roots: Path | None
    log: Path
    processes: dict[str, int] = field(default_factory=dict)
    operators: str = ""

    @property
    def address(self) -> dict[str, object]:
        """What `bench.load` needs to know."""
        roots = None if self.roots is None else str(self.roots)
        return {"host": self.host, "port": self.port, "model": self.model, "key": self.key, "roots": roots}


@dataclass(frozen=True, slots=True)
class Capacity:
    """`contexts`: how many sequences the peer holds at once. `kv_tokens`: room for keys and values, on both sides."""

    contexts: int = 32
    kv_tokens: int = 24576


@contextmanager
def mohawk_server(
    model: Path, capacity: Capacity, workers: int = 2, spares: int = 0, settings: dict[str, str] | None = None
) -> Iterator[Server]:
    """`settings`: MIE_* variables beside the defaults."""
    with tempfile.TemporaryDirectory(prefix="mohawk-bench-") as home:
        command = [sys.executable, "-P", "-m", "mohawk", "up", str(model), "--workers", str(workers), "--json"]
        command += [
            "--spares",
            str(spares),
            "--port",
            "0",
            "--operator-port",
            "0",
            "--kv-tokens",
            str(capacity.kv_tokens),
        ]
        log = Path(home) / "up.log"
        with _process(command, {"MIE_HOME": home} | (settings or {}), log, reads=True) as process:
            facts = _read_document(process, log)
            url = urlsplit(facts["OPENAI_BASE_URL"])
            assert url.hostname is not None
            assert url.port is not None
            key = Path(facts["api_key_file"]).read_text("ascii").strip()
            roles = {"controller": process.pid} | children(process.pid)
            roots = Path(facts["SSL_CERT_FILE"])
            operators = f"controller@127.0.0.1:{facts['operator_port']}"
            yield Server("mohawk", url.hostname, url.port, facts["model"], key, roots, log, roles, operators)


def wait_for_spares(server: Server, spares: int) -> None:
    """Until so many stand by with a stage that they hold. Raises RuntimeError."""
    home = server.log.parent
    command = [sys.executable, "-P", "-m", "mohawk", "status", "--json", "--controller", server.operators]
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        answer = subprocess.run(
            command, env=os.environ | {"MIE_HOME": str(home)}, capture_output=True, text=True, check=True
        )
        workers = json.loads(answer.stdout)["workers"]
        if sum(worker["is_spare"] and bool(worker["run_id"]) for worker in workers) >= spares:
            return
        time.sleep(1.0)
    raise RuntimeError("no spare got ready")


@contextmanager
def peer_server(programs: Peer, model: Path, capacity: Capacity, workers: int = 2) -> Iterator[Server]:
    """Every layer lies on an RPC server, as every layer of ours lies on a worker. Its prompt caches are off: no prompt
    of these benches comes twice, so they would only cost.
    """
    threads = str(len(os.sched_getaffinity(0)))
    ports = [free_port() for _ in range(workers + 1)]
    with (
        tempfile.TemporaryDirectory(prefix="mohawk-peer-") as folder,
        _all_of(
            [
                (
                    [str(programs.rpc_server), "-H", "127.0.0.1", "-p", str(port), "-t", threads],
                    Path(folder) / f"{port}.log",
                )
                for port in ports[1:]
            ]
        ) as rpc_servers,
    ):
        for port in ports[1:]:
            _wait_for_port(port)
        command = [str(programs.server), "-m", str(model), "--host", "127.0.0.1", "--port", str(ports[0])]
        command += ["--rpc", ",".join(f"127.0.0.1:{port}" for port in ports[1:]), "-ngl", "all", "-fit", "off"]
        command += ["-t", threads, "-np", str(capacity.contexts), "-c", str(capacity.kv_tokens), "--kv-unified"]
        command += ["--no-cache-prompt", "--cache-ram", "0", "--no-ui", "--temp", "0"]
        log = Path(folder) / "server.log"
        with _process(command, {}, log) as process:
            _wait_for_health(ports[0], process, log)
            roles = {"server": process.pid}
            roles |= {f"rpc-{number}": one.pid for number, one in enumerate(rpc_servers, 1)}
            yield Server("llama.cpp", "127.0.0.1", ports[0], "any", "", None, log, roles)


@contextmanager
def _all_of(commands: list[tuple[list[str], Path]]) -> Iterator[list[subprocess.Popen[str]]]:
    if not commands:
        yield []
        return
    (command, log), *rest = commands
    with _process(command, {}, log) as first, _all_of(rest) as others:
        yield [first, *others]


@contextmanager
def _process(
    command: list[str], extra: dict[str, str], log: Path, reads: bool = False
) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {"GOMP_SPINCOUNT": SPIN_COUNT} | extra
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if reads else errors,
            stderr=errors,
            env=environment,
            text=True,
            start_new_session=True,  # as our workers are: a session is what Linux shares processors out to first
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _read_document(process: subprocess.Popen[str], log: Path) -> dict[str, str]:
    """One JSON document, however many lines it takes."""
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line.startswith("}"):
            document: dict[str, str] = json.loads(text)
            return document
    raise RuntimeError(log.read_text("utf-8", "replace")[-4000:])


def children(parent: int) -> dict[str, int]:
    """Workers among the children of `mohawk up`: name -> process id."""
    found = {}
    for task in Path(f"/proc/{parent}/task").iterdir():
        for child in (task / "children").read_text("ascii").split():
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            if b"--store" in words:
                store = Path(words[words.index(b"--store") + 1].decode())
                found[store.parent.name] = int(child)
    return dict(sorted(found.items()))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _wait_for_health(port: int, process: subprocess.Popen[str], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(log.read_text("utf-8", "replace")[-4000:])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.2)
    raise RuntimeError("llama-server did not become healthy")
