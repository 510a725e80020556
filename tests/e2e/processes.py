"""Real `mohawk` processes, and how to know, without asking again and again, that a process has ended."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

START_SECONDS = 120.0
"""Machines that test may be slow; a start takes some seconds on an idle one."""
STOP_SECONDS = 60.0


class Mohawk:
    """One long-running `mohawk` command with a home of its own. `inside`: put before it, to run it on another host."""

    def __init__(self, home: Path, *arguments: str, inside: tuple[str, ...] = ()) -> None:
        self.home = home
        self.errors = home.parent / f"{home.name}.stderr"
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [*inside, sys.executable, "-m", "mohawk", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment(home),
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def serving(self) -> int:
        """The process that serves: a worker by hand is two, the first of which does nothing (adr/0023)."""
        return next(pid for pid in descendants(self.pid) if command_line(pid) == command_line(self.pid))

    def read_until(self, text: str) -> str:
        """Its output up to `text`. Fails the test when it ends or says nothing for too long."""
        assert self.process.stdout is not None
        said = b""
        deadline = time.monotonic() + START_SECONDS
        while text.encode() not in said:
            readable, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            block = os.read(self.process.stdout.fileno(), 4096) if readable else b""
            if not block:
                self.kill()
                raise AssertionError(f"no {text!r} after {said!r}; stderr: {self.errors.read_text()[-4000:]}")
            said += block
        return said.decode()

    def errors_until(self, pattern: str) -> re.Match[str]:
        """The first match in what it says on stderr, which is a file: nothing announces its growth."""
        deadline = time.monotonic() + START_SECONDS
        while (found := re.search(pattern, self.errors.read_text())) is None:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"no {pattern!r} in {self.errors.read_text()[-4000:]!r}")
            time.sleep(0.02)
        return found

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send the signal and wait for the end; the exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        try:
            return self.process.wait(STOP_SECONDS)
        finally:
            self.kill()

    def kill(self) -> None:
        """Make sure that nothing of it stays behind, whatever failed."""
        below = descendants(self.pid) if self.process.poll() is None else []
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        for pid in below:
            send(pid, signal.SIGKILL)
        assert wait_until_gone(below, STOP_SECONDS) == [], "what they held is free"


class Up(Mohawk):
    """`mohawk up`, ready."""

    def __init__(self, home: Path, *arguments: str) -> None:
        super().__init__(home, "up", "--json", "--port", "0", "--operator-port", "0", *arguments)
        self.ready: dict[str, Any] = json.loads(self.read_until("\n}\n"))
        below = descendants(self.pid)
        self.workers = sorted(pid for pid in below if b"worker" in command_line(pid))
        self.others = sorted(set(below) - set(self.workers))
        """The chat template's child."""

    @property
    def url(self) -> str:
        return str(self.ready["OPENAI_BASE_URL"])

    @property
    def key(self) -> str:
        return Path(self.ready["api_key_file"]).read_text()

    @property
    def root(self) -> str:
        return str(self.ready["SSL_CERT_FILE"])

    @property
    def model(self) -> str:
        return str(self.ready["model"])

    def command(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return command(self.home, *arguments, **options)

    def status(self) -> dict[str, Any]:
        answer = self.command("status", "--json", "--controller", f"controller@127.0.0.1:{self.ready['operator_port']}")
        assert answer.returncode == 0, answer.stderr
        return dict(json.loads(answer.stdout))


def command(
    home: Path, *arguments: str, inside: tuple[str, ...] = (), **options: Any
) -> subprocess.CompletedProcess[str]:
    """One short `mohawk` command, to its end."""
    return subprocess.run(
        [*inside, sys.executable, "-m", "mohawk", *arguments],
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        env=environment(home),
        check=False,
        **options,
    )


def environment(home: Path) -> dict[str, str]:
    """This process's, with `home` for everything of Mohawk's and for temporary files."""
    temporary = home.parent / f"{home.name}.tmp"
    temporary.mkdir(exist_ok=True)
    return os.environ | {"MIE_HOME": str(home), "TMPDIR": str(temporary)}


def descendants(pid: int) -> list[int]:
    """Children, their children and so on, as they are now."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rpartition(")")[2].split()
        except OSError:  # ended while we looked
            continue
        parents.setdefault(int(after_name[1]), []).append(int(stat.parent.name))
    found, new = [], [pid]
    while new:
        new = [child for parent in new for child in parents.get(parent, [])]
        found += new
    return found


def processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def command_line(pid: int) -> bytes:
    """Its arguments; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def wait_until_gone(pids: Iterable[int], seconds: float) -> list[int]:
    """Wait until all these processes ended; those that did not in time. The kernel says when: no polling."""
    deadline = time.monotonic() + seconds
    return [pid for pid in pids if not _ends_before(pid, deadline)]


def _ends_before(pid: int, deadline: float) -> bool:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        readable, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        return bool(readable)
    finally:
        os.close(descriptor)
