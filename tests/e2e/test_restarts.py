"""Processes that are killed and started again, with what lies on their disks: nothing that was acknowledged is lost or
done twice, and nothing that was damaged is computed with.
"""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from mohawk.errors import HostError
from mohawk.planning.breaker import FIRST_PAUSE, THRESHOLD
from tests.e2e.streams import build_endless
from tests.hosts.site import HostedCluster, on_loopback

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("up")]

WORKERS = ("w1", "w2", "w3")
LIMIT_SECONDS = 5.0
HEAL_SECONDS = 120.0
"""A worker that failed is left alone for a while before it is asked again."""
ASKED = {"model": "endless", "prompt": [5, 6, 7], "max_tokens": 24, "temperature": 0, "return_token_ids": True}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[HostedCluster]:
    """Workers and their controller, serving. Of its own for each test: a worker that failed often is left alone longer."""
    source = build_endless(tmp_path / "endless", 1024)
    with on_loopback(tmp_path / "hosts", "operator", *WORKERS) as made:
        made.prepare(source, WORKERS)
        controller = made.start_controller(WORKERS)
        controller.errors_until("waiting for w1")
        for name in WORKERS:
            made.join(name, made.token(name))
            made.start_worker(name)
        controller.read_until("serving endless")
        yield made


@pytest.fixture
def http(cluster: HostedCluster) -> Iterator[httpx.Client]:
    operator, address = cluster.home("operator"), cluster.hosts["operator"].address
    context = ssl.create_default_context(cafile=str(operator / "identities" / "api" / "root.pem"))
    headers = {"authorization": f"Bearer {(operator / 'api.key').read_text()}"}
    with httpx.Client(
        base_url=f"https://{address}:8443/v1", verify=context, headers=headers, trust_env=False, timeout=60
    ) as client:
        yield client


def tokens(http: httpx.Client) -> list[int]:
    answer = http.post("/completions", json=ASKED)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["choices"][0]["token_ids"])


def test_a_controller_is_killed_and_started_again(
    cluster: HostedCluster, http: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its workers stay; what it promised is in its store."""
    expected = tokens(http)
    session = http.post("/sessions", json={"model": "endless"}).json()["id"]
    once: dict[str, Any] = {"json": ASKED | {"temperature": 1.0}, "headers": {"idempotency-key": "answered-before"}}
    first = http.post("/completions", **once)
    pids = [cluster.nodes[name].pid for name in WORKERS]
    with http.stream("POST", "/completions", json=ASKED | {"max_tokens": 1000, "stream": True}) as response:
        lines = response.iter_lines()
        next(lines)
        cluster.nodes["controller"].process.send_signal(signal.SIGKILL)
        with pytest.raises(httpx.TransportError):
            list(lines)
    begin = time.monotonic()
    cluster.nodes.pop("controller").kill()
    cluster.start_controller(WORKERS).read_until("serving endless")
    seconds = time.monotonic() - begin
    with capsys.disabled():
        print(f"\nkill -9 of the controller: {seconds:.2f} s until the next one serves", end="")
    assert tokens(http) == expected
    assert time.monotonic() - begin - seconds < LIMIT_SECONDS
    again = http.post("/completions", **once)
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    assert http.get(f"/sessions/{session}").status_code == 200
    assert [cluster.nodes[name].process.poll() for name in WORKERS] == [None] * len(WORKERS)
    assert [cluster.nodes[name].pid for name in WORKERS] == pids


def flip_a_bit(slice_file: Path) -> None:
    content = bytearray(slice_file.read_bytes())
    content[len(content) // 2] ^= 0x10
    slice_file.write_bytes(content)


def tear(slice_file: Path) -> None:
    """The second half never reached the disk."""
    os.truncate(slice_file, slice_file.stat().st_size // 2)


def zero_a_page(slice_file: Path) -> None:
    with slice_file.open("r+b") as file:
        file.seek(slice_file.stat().st_size // 2 // 4096 * 4096)
        file.write(bytes(4096))


def test_slices_that_were_damaged_are_fetched_again(cluster: HostedCluster, http: httpx.Client) -> None:
    """While their workers were down: found before anything is computed with them."""
    expected = tokens(http)
    contents: dict[Path, bytes] = {}
    for name, damage in zip(WORKERS, (flip_a_bit, tear, zero_a_page), strict=True):
        cluster.nodes.pop(name).kill()
        (sealed,) = (cluster.home(name) / "slices").rglob("*.sealed")
        contents[sealed] = sealed.read_bytes()
        damage(sealed)
        assert sealed.read_bytes() != contents[sealed]
    wait_for_health(http, 503)
    for name in WORKERS:
        cluster.start_worker(name)
    wait_for_health(http, 200)
    assert tokens(http) == expected
    assert {sealed: sealed.read_bytes() for sealed in contents} == contents


def test_a_model_key_that_is_away_for_a_while(cluster: HostedCluster, http: httpx.Client) -> None:
    """Whoever serves goes on. Whoever comes gets no stage, and is not blamed for it: it serves when the key is back."""
    expected = tokens(http)
    home = cluster.home("operator")
    key, hidden = home / "keys" / "model.key", home / "keys" / "away"
    key.rename(hidden)
    assert tokens(http) == expected
    cluster.nodes.pop("w2").kill()
    wait_for_health(http, 503)
    cluster.start_worker("w2")
    said = "w2 is left: the model key cannot be opened.*"
    cluster.nodes["controller"].errors_until(f"(?s)(?:{said}){{{THRESHOLD}}}")
    assert http.post("/completions", json=ASKED).status_code == 503
    hidden.rename(key)
    begin = time.monotonic()
    wait_for_health(http, 200)
    assert time.monotonic() - begin < FIRST_PAUSE
    assert tokens(http) == expected


@contextmanager
def disk(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A file system of its own over `folder`; what is given changes its options. Skips where that needs more rights."""

    def change(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)

    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "none", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small disk, and not in every container")
    try:
        yield change
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_full_and_one_that_is_read_only(cluster: HostedCluster, http: httpx.Client) -> None:
    """The worker says so, and the others keep what they have; with room again, it serves."""
    expected = tokens(http)
    slices = cluster.home("w1") / "slices"
    with disk(slices, "256k") as change:
        cluster.nodes.pop("w1").kill()
        wait_for_health(http, 503)
        cluster.start_worker("w1")
        cluster.nodes["controller"].errors_until(r"w1 is left: .*not enough free disk space")
        assert list(slices.rglob("*.sealed")) == []
        change("size=64m")
        wait_for_health(http, 200)
        assert tokens(http) == expected
        (sealed,) = slices.rglob("*.sealed")
        content = sealed.read_bytes()
        cluster.nodes.pop("w1").kill()
        change("ro")
        refused = cluster.start_worker("w1")
        refused.errors_until("Read-only file system")
        assert refused.wait() == HostError.exit_code
        assert sealed.read_bytes() == content
        assert [cluster.nodes[name].process.poll() for name in WORKERS[1:]] == [None, None]
        change("rw")
        wait_for_health(http, 503)
        cluster.start_worker("w1")
        wait_for_health(http, 200)
        assert tokens(http) == expected
        cluster.nodes.pop("w1").kill()


def wait_for_health(http: httpx.Client, status: int) -> None:
    deadline = time.monotonic() + HEAL_SECONDS
    url = str(http.base_url).removesuffix("/v1/") + "/healthz"
    while http.get(url).status_code != status:
        assert time.monotonic() < deadline
        time.sleep(0.1)
