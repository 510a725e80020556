"""What every result says of where it was measured, where results go, and who else used the processors meanwhile."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterable
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
CORES = len(os.sched_getaffinity(0))
TICKS = os.sysconf("SC_CLK_TCK")
QUIET = 0.1
"""Share of the processors that others may take of a moment that counts as quiet."""
LOOK_SECONDS = 0.5


def describe_machine() -> dict[str, object]:
    """Processor, cores and Python: no host name, no path."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return {"cpu": model, "cores": CORES, "python": platform.python_version()}


def write_result(name: str, result: dict[str, object]) -> None:
    """Into results/<name>.json, and onto the terminal."""
    text = json.dumps(result, indent=2)
    (RESULTS / f"{name}.json").write_text(text + "\n", "utf-8")
    print(text)


def processor_seconds(process: int) -> float:
    """What a process has used so far, all its threads together; 0 of one that is gone."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_bytes(process: int) -> int:
    pages = int(Path(f"/proc/{process}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_bytes(process: int) -> int:
    """The most memory that was resident at any time."""
    lines = Path(f"/proc/{process}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))


def busy_seconds() -> float:
    """What all processes have used so far."""
    fields = Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _waiting, *interrupts = map(int, fields[:8])
    return (user + nice + system + sum(interrupts)) / TICKS


class Meter:
    """Processor seconds from now on, of some processes and of everybody."""

    def __init__(self, processes: Iterable[int]) -> None:
        self._before = {process: processor_seconds(process) for process in processes}
        self._busy = busy_seconds()
        self._began = time.monotonic()

    def used(self, process: int) -> float:
        return processor_seconds(process) - self._before[process]

    def others(self, ours: float = 0.0) -> float:
        """The share of the processors' time that went to processes which are not these. `ours`: seconds that belong to
        the measurement, too.
        """
        mine = sum(map(self.used, self._before)) + ours
        return max(0.0, busy_seconds() - self._busy - mine) / ((os.cpu_count() or 1) * (time.monotonic() - self._began))


def wait_for_quiet(patience: float) -> None:
    """Until others leave the processors to us, for at most `patience` seconds."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        meter = Meter(())
        time.sleep(LOOK_SECONDS)
        if meter.others() < QUIET:
            return
