"""Holds a process back: it runs for so many milliseconds, and stands still for so many, again and again. What a control
group's processor quota does, without the rights that one needs.

    python -m bench.brake PROCESS RUN_MS STOP_MS
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path


def hold_back(process: int, run: float, stop: float) -> None:
    """Until the process is gone, or this one is told to end; then the other runs on."""
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(0))
    try:
        while True:
            os.kill(process, signal.SIGSTOP)
            time.sleep(stop)
            os.kill(process, signal.SIGCONT)
            time.sleep(run)
    except ProcessLookupError:
        return
    finally:
        if Path(f"/proc/{process}").exists():
            os.kill(process, signal.SIGCONT)


if __name__ == "__main__":
    hold_back(int(sys.argv[1]), float(sys.argv[2]) / 1e3, float(sys.argv[3]) / 1e3)
