"""Workers that die or freeze, clients that leave: each request ends, once, soon, and with a reason."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from mohawk.contract.messages import WorkerState
from tests.e2e.processes import Up, descendants, send, wait_until_gone
from tests.e2e.streams import build_endless, client, events

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("up")]

LIMIT_SECONDS = 5.0
"""The promise is 2 s on a machine that has time; the test prints what it took."""
HEAL_SECONDS = 60.0
CONTEXT = 4096
CODES = {"worker_lost", "chain_broken"}
"""The second when the stage before the dead one noticed first."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_endless(tmp_path_factory.mktemp("models") / "endless", CONTEXT)


@pytest.fixture
def start(source: Path, tmp_path: Path) -> Iterator[Callable[[], Up]]:
    running: list[Up] = []

    def begin() -> Up:
        running.append(Up(tmp_path / "home", str(source), "--dtype", "float32"))
        return running[-1]

    yield begin
    for up in running:
        up.kill()


def endless(up: Up) -> dict[str, object]:
    """A request for more tokens than any of these tests waits for."""
    return {"model": up.ready["model"], "prompt": [5, 6, 7], "max_tokens": CONTEXT - 8, "temperature": 0} | {
        "stream": True,
        "return_token_ids": True,
    }


def wound_in_a_stream(up: Up, wound: Callable[[], None]) -> float:
    """Stream, wound the cluster after the tenth event, and read to the end; seconds from the wound to the end."""
    with client(up) as http:
        with http.stream("POST", "/completions", json=endless(up)) as response:
            assert response.status_code == 200
            stream = events(response)
            taken = [next(stream) for _ in range(10)]
            assert all("error" not in event for event in taken)
            begin = time.monotonic()
            wound()
            rest = list(stream)
            seconds = time.monotonic() - begin
        assert [event for event in rest if "error" in event] == rest[-1:], "one error, and it is the last event"
        error = rest[-1]["error"]
        assert isinstance(error, dict)
        assert error["code"] in CODES
        assert len(rest) < CONTEXT - 100, "the model came to its own end before the fault"
        assert_unavailable(http, up)
    return seconds


def assert_unavailable(http: httpx.Client, up: Up) -> None:
    """Every later request hears it at once, and so does whoever asks for the health; until somebody is there again."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while (health := http.get(health_url(up))).status_code == 200:
        assert time.monotonic() < deadline
    assert (health.status_code, health.json()) == (503, {"status": "unavailable"})
    later = http.post("/completions", json=endless(up))
    assert later.status_code == 503
    assert later.json()["error"]["code"] in CODES


def health_url(up: Up) -> str:
    return up.url.removesuffix("/v1") + "/healthz"


def wait_until_healthy(up: Up) -> None:
    deadline = time.monotonic() + HEAL_SECONDS
    with client(up) as http:
        while http.get(health_url(up)).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_worker_killed_in_a_stream(start: Callable[[], Up], capsys: pytest.CaptureFixture[str]):
    up = start()
    seconds = wound_in_a_stream(up, lambda: os.kill(up.workers[1], signal.SIGKILL))
    with capsys.disabled():
        print(f"\nkill -9 to the end of the stream: {seconds:.2f} s")
    assert seconds < LIMIT_SECONDS
    states = [worker["state"] for worker in up.status()["workers"]]
    assert states.count(WorkerState.FAILED) <= 1, "status still answers"
    wait_until_healthy(up)
    below = descendants(up.pid)  # another worker is one of them now
    assert up.stop() == 0
    assert wait_until_gone(below, 5) == []


def test_a_worker_frozen_in_a_stream(start: Callable[[], Up], capsys: pytest.CaptureFixture[str]):
    """SIGSTOP: its TCP connection looks alive; only a heartbeat that is not answered shows it."""
    up = start()
    try:
        seconds = wound_in_a_stream(up, lambda: os.kill(up.workers[0], signal.SIGSTOP))
        with capsys.disabled():
            print(f"\nSIGSTOP to the end of the stream: {seconds:.2f} s")
        assert seconds < LIMIT_SECONDS
    finally:
        send(up.workers[0], signal.SIGCONT)
    wait_until_healthy(up)
    assert up.stop() == 0
    assert wait_until_gone([*up.workers, *up.others], 5) == []


def test_a_worker_killed_while_nobody_asks(start: Callable[[], Up]):
    """Health does not wait for a request to find out. Nor does a client that left keep anything."""
    up = start()
    with client(up) as http:
        with http.stream("POST", "/completions", json=endless(up)) as response:
            stream = events(response)
            for _ in range(5):
                next(stream)
            assert up.status()["kv_tokens_used"] > 0
        http.post("/completions", json=endless(up) | {"max_tokens": 1, "stream": False}).raise_for_status()
        status = up.status()
        assert (status["running_sequences"], status["kv_tokens_used"]) == (0, 0), "who left holds nothing (D08)"

        os.kill(up.workers[0], signal.SIGKILL)
        assert wait_until_gone(up.workers[:1], 5) == []
        assert_unavailable(http, up)
    assert up.stop() == 0
