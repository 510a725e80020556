"""What every result says of where it was measured, and where results go."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def describe_machine() -> dict[str, object]:
    """Processor, cores and Python: no host name, no path."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "python": platform.python_version()}


def write_result(name: str, result: dict[str, object]) -> None:
    """Into results/<name>.json, and onto the terminal."""
    text = json.dumps(result, indent=2)
    (RESULTS / f"{name}.json").write_text(text + "\n", "utf-8")
    print(text)
