"""Lives that follow one another: each in a process of its own, and none after one that did not ask for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import descendants, wait_until_gone

SECONDS = 60.0
HEAD = """
import json, os, signal, sys, threading
from mohawk.host.lives import live
def say(*what): print(json.dumps(what), flush=True)
known = []
"""


class Program:
    """A process whose lives are what a test says."""

    def __init__(self, text: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HEAD + text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def hear(self) -> Any:
        """The next thing that it says."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def finish(self) -> tuple[int, list[Any], str]:
        """Its exit code, what else it said, and its stderr."""
        out, errors = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, [json.loads(line) for line in out.splitlines()], errors


def test_each_life_is_a_process_that_knows_only_what_was_left_to_it() -> None:
    """Whatever the one before it learned is in no memory that it has."""
    program = Program("""
def life(left):
    say(os.getpid(), os.getppid(), left.decode(), known)
    known.append("a key")
    return b"8003" if not left else b"8004" if left == b"8003" else None
live(life)
say(os.getpid(), "ends")
""")
    code, said, errors = program.finish()
    assert (code, errors) == (0, "")
    *lives, first_end, second_end = said
    assert [life[1:] for life in lives] == [[program.pid, left, []] for left in ("", "8003", "8004")]
    pids = [life[0] for life in lives]
    assert len({*pids, program.pid}) == 4
    assert [first_end, second_end] == [[pids[2], "ends"], [program.pid, "ends"]], "a life that is followed ends at once"


def test_lives_draw_different_randomness() -> None:
    """Of the kernel, of both OpenSSLs, and of HPKE."""
    program = Program("""
import random, ssl
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from mohawk.crypto.primitives import random_bytes
from mohawk.crypto.seal import RecipientKey
def draw():
    key, recipient = X25519PrivateKey.generate().public_key().public_bytes_raw(), RecipientKey.generate().public_bytes()
    return [random_bytes(16).hex(), ssl.RAND_bytes(16).hex(), key.hex(), recipient.hex(), random.random()]
draw()
def life(left):
    say(*draw())
    return b"again" if not left else None
live(life)
say(*draw())
""")
    code, said, errors = program.finish()
    assert (code, errors) == (0, "")
    first, second, after_second, beginning = said
    for drawn in zip(first, second, after_second, beginning, strict=True):
        assert len(set(drawn)) == 4


@pytest.mark.parametrize(
    ("end", "code"),
    [("sys.exit(4)", 4), ("raise RuntimeError('broken')", 1), ("os.kill(os.getpid(), signal.SIGKILL)", 128 + 9)],
)
def test_a_life_that_fails_is_the_last(end: str, code: int) -> None:
    """Whoever crashes one to learn where things lie in memory has no second try."""
    program = Program(f"""
def life(left):
    say("life")
    {end}
live(life)
say("not here")
""")
    assert program.finish()[:2] == (code, [["life"]])


def test_a_life_ends_with_its_beginning() -> None:
    """However that ended: no opened weights in a process that nobody knows of."""
    program = Program("""
def life(left):
    say(os.getpid())
    signal.pause()
live(life)
""")
    (pid,) = program.hear()
    assert descendants(program.pid) == [pid]
    os.kill(program.pid, signal.SIGKILL)
    assert wait_until_gone([pid], SECONDS) == []
    assert program.finish()[0] == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_life_that_runs_and_makes_it_the_last(number: signal.Signals) -> None:
    """Also one that asks to be followed: it may have heard the signal too late."""
    program = Program(f"""
heard = threading.Event()
def life(left):
    signal.signal({number}, lambda *_: heard.set())
    say("ready")
    heard.wait()
    return b"again"
live(life)
""")
    assert program.hear() == ["ready"]
    os.kill(program.pid, number)
    assert program.finish() == (0, [], "")


def test_a_signal_between_two_lives_waits_until_it_can_be_heard() -> None:
    """A second life that has not begun to listen is not killed by it, and does not miss it."""
    program = Program("""
def life(left):
    if not left:
        return b"again"
    say("begins")
    say(signal.sigwait({signal.SIGTERM}).name)
live(life)
""")
    assert program.hear() == ["begins"]
    os.kill(program.pid, signal.SIGTERM)
    assert program.finish() == (0, [["SIGTERM"]], "")


def test_a_life_that_is_stopped_goes_on() -> None:
    """The kernel tells its beginning of that as of an end."""
    program = Program("""
def life(left):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    say(os.getpid())
    signal.sigwait({signal.SIGUSR1})
    say("went on")
live(life)
""")
    (pid,) = program.hear()
    for number in (signal.SIGSTOP, signal.SIGCONT, signal.SIGUSR1):
        os.kill(pid, number)
    assert program.finish() == (0, [["went on"]], "")


def test_nothing_that_was_hardened_is_softer_in_a_life() -> None:
    program = Program("""
import ctypes, resource
from mohawk.host.memory import harden_process
harden_process()
def life(left):
    say(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))
live(life)
""")
    assert program.finish() == (0, [[0, 0, 0]], "")


def test_it_is_not_forked_beside_other_threads() -> None:
    program = Program("""
threading.Thread(target=threading.Event().wait, daemon=True).start()
live(lambda left: say("a life"))
""")
    code, said, errors = program.finish()
    assert (code, said) == (1, [])
    assert "AssertionError" in errors


def test_a_worker_imports_no_thread(tmp_path: Path) -> None:
    """What the beginning of a worker's lives imports starts none of Python's."""
    program = "import mohawk.worker.main, threading; print(threading.active_count())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "1\n"
