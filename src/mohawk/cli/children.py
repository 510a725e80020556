"""Workers as children of `mohawk up`: identity by inherited pipe, ended when that pipe ends."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from mohawk.cli.worker import SPIN_COUNT
from mohawk.errors import HostError, UnavailableError
from mohawk.host.files import make_private_folder
from mohawk.host.identity import NodeIdentity
from mohawk.host.lifeline import write_secrets
from mohawk.host.publisher_file import encode_pins
from mohawk.identity.credentials import encode
from mohawk.identity.policy import encode_policy

START_SECONDS = 60.0
STOP_SECONDS = 10.0


@dataclass(slots=True)
class Child:
    """A running worker process. `lifeline` is our end of its pipe."""

    name: str
    port: int
    process: asyncio.subprocess.Process
    lifeline: int
    log: Path

    async def stop(self) -> None:
        """Cut the lifeline and wait; a worker that does not end by itself is killed."""
        if self.lifeline < 0:
            return
        os.close(self.lifeline)
        self.lifeline = -1
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


async def start_worker(identity: NodeIdentity, folder: Path, port: int = 0) -> Child:
    """Start a worker on a free port of 127.0.0.1, or on this one, with its store in `folder`. Raises UnavailableError
    when it does not come up.
    """
    name = identity.credentials.name.name
    log = folder / "worker.log"
    theirs, ours = os.pipe()
    try:
        process = await _spawn(theirs, folder, log, port)
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    child = Child(name, 0, process, ours, log)
    try:
        write_secrets(ours, encode(identity.credentials), encode_pins(identity.pins), encode_policy(identity.policy))
        child.port = await _read_port(process)
    except (HostError, UnavailableError, asyncio.CancelledError):
        await child.stop()
        raise
    return child


def interpreter() -> tuple[str, ...]:
    """Our Python, for a child. `-P`: the working directory is no place to import from, or a `mohawk.py` in a downloaded
    model's folder would run with our keys.
    """
    return sys.executable, "-P"


async def _spawn(descriptor: int, folder: Path, log: Path, port: int) -> asyncio.subprocess.Process:
    command = [*interpreter(), "-m", "mohawk", "worker", "run", "--json", "--port", str(port)]
    command += ["--identity-fd", str(descriptor), "--store", str(folder / "store")]
    with log.open("ab" if port else "wb") as errors:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            pass_fds=(descriptor,),
            env=environment(folder),
            start_new_session=True,  # a Ctrl-C on the terminal is the parent's to handle
        )


def environment(folder: Path) -> dict[str, str]:
    """For a child: nothing of ours that could hold a secret; its temporary files and caches go below `folder`."""
    kept = (
        "PATH",
        "HOME",
        "LANG",
        "LC_ALL",
        "LD_LIBRARY_PATH",
        "VIRTUAL_ENV",
        "CUDA_VISIBLE_DEVICES",
        "OMP_NUM_THREADS",
    )
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    temporary = folder / "tmp"
    make_private_folder(temporary)
    return environment | {
        "GOMP_SPINCOUNT": SPIN_COUNT,
        "HF_HUB_OFFLINE": "1",
        "TMPDIR": str(temporary),
        "XDG_CACHE_HOME": str(temporary),
    }


async def _read_port(process: asyncio.subprocess.Process) -> int:
    assert process.stdout is not None  # asked for above
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
        return int(json.loads(line)["port"])
    except (TimeoutError, ValueError, KeyError, TypeError):
        raise UnavailableError("a worker did not start", hint="its worker.log says why") from None
