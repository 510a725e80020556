"""A worker that is lost under running streams: a spare takes its stage, and no token is lost, repeated or changed."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.processes import Up, command_line, send
from tests.e2e.streams import Streams, build_endless, client, wait_for_spares

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("up")]

STAGES = 3
"""Two that stay beside each other when one is lost: they too have to leave the old route."""
CONTEXT = 1024
TOKENS = 300
PROMPTS = [[5 + number, 6, 7, 8 + number] for number in range(8)]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_endless(tmp_path_factory.mktemp("models") / "endless", CONTEXT)


@pytest.fixture
def start(source: Path, tmp_path: Path) -> Iterator[Callable[[int], Up]]:
    running: list[Up] = []

    def begin(spares: int) -> Up:
        size = ["--workers", str(STAGES), "--spares", str(spares)]
        running.append(Up(tmp_path / "home", str(source), "--dtype", "float32", *size))
        wait_for_spares(running[-1], spares)
        return running[-1]

    yield begin
    for up in running:
        up.kill()


def alone(up: Up) -> list[list[int]]:
    """Each answer of an undisturbed run."""
    return [stream.tokens for stream in Streams(up, PROMPTS, TOKENS).finish()]


def stage_pid(up: Up, stage: int) -> int:
    """The process that holds a stage now."""
    name = up.status()["workers"][stage]["name"]
    return next(pid for pid in up.workers if f"/{name}/".encode() in command_line(pid))


def test_streams_go_on_when_one_worker_is_killed_and_another_frozen(
    start: Callable[[int], Up], capsys: pytest.CaptureFixture[str]
) -> None:
    """One after the other, under the same streams; the second spare holds what the first fault left it."""
    up = start(2)
    expected = alone(up)
    victims = [stage_pid(up, stage) for stage in (0, 1)]
    running = Streams(up, PROMPTS, TOKENS)
    try:
        running.wait_for(40)
        os.kill(victims[0], signal.SIGKILL)
        running.wait_for(120)
        os.kill(victims[1], signal.SIGSTOP)
        streams = running.finish()
    finally:
        send(victims[1], signal.SIGCONT)
    assert [stream.error for stream in streams] == [None] * len(PROMPTS)
    assert [stream.tokens for stream in streams] == expected
    with capsys.disabled():
        print(f"\nkill -9, then SIGSTOP: longest gap {max(stream.longest_gap for stream in streams):.2f} s")


def test_a_worker_is_drained_under_running_streams(start: Callable[[int], Up]) -> None:
    """By an operator's command: its stage moves to the spare, and it is let go until it is taken back."""
    up = start(1)
    expected = alone(up)
    running = Streams(up, PROMPTS, TOKENS)
    running.wait_for(20)
    at = ("--controller", f"controller@127.0.0.1:{up.ready['operator_port']}")
    done = up.command("operator", "drain", "worker-1", *at)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"worker-\d took over slice_0_\d from worker-1\n", done.stdout)
    streams = running.finish()
    assert [stream.error for stream in streams] == [None] * len(PROMPTS)
    assert [stream.tokens for stream in streams] == expected
    assert "worker-1" not in [worker["name"] for worker in up.status()["workers"]]
    assert up.command("operator", "drain", "nobody", *at).returncode == 3, "the controller refused"
    assert up.command("operator", "drain", "--back", "worker-1", *at).returncode == 0
    wait_for_spares(up, 1)


def test_without_a_spare_requests_hear_it_and_a_worker_that_comes_back_heals(start: Callable[[int], Up]) -> None:
    """A frozen worker that goes on begins anew, and takes its stage again: nobody restarts the controller."""
    up = start(0)
    expected = alone(up)
    victim = stage_pid(up, 1)
    running = Streams(up, PROMPTS, TOKENS)
    running.wait_for(20)
    begin = time.monotonic()
    os.kill(victim, signal.SIGSTOP)
    streams = running.finish()
    assert time.monotonic() - begin < 5
    codes = {stream.error["code"] for stream in streams if stream.error}
    assert codes
    assert codes <= {"worker_lost", "chain_broken"}, "the second when its neighbours noticed first"
    os.kill(victim, signal.SIGCONT)
    deadline = time.monotonic() + 30
    with client(up) as http:
        url = up.url.removesuffix("/v1") + "/healthz"
        while http.get(url).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert alone(up) == expected
