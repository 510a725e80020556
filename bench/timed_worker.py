"""A worker of the bench's own, which notes when each step reached it, was computed and was handed on.

Started by `bench.step_profile` in place of `python -m mohawk`, with the same arguments.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bench.step_clock import StepClock
from mohawk.cli.main import main
from mohawk.model.sampler import Sampler
from mohawk.worker.chain import AdmittedStep, Chain
from mohawk.worker.runner import Runner

FILE = "steps.json"


def watch(clock: StepClock) -> None:
    """Number of a step: its part's."""
    clock.before(Chain, "_receive", "received", lambda _chain, _link, message, _body: number_of(message))
    clock.around(Runner, "run", ("begun", "computed"), lambda _runner, part, _body: part.number)
    clock.around(Sampler, "sample", ("sampling", "sampled"), lambda *_: clock.latest)
    clock.around(Chain, "_hand_on", ("handing", "handed"), lambda _chain, step, _outcome: step.part.number)


def number_of(message: object) -> int:
    return message.part.number if isinstance(message, AdmittedStep) else 0


if __name__ == "__main__":
    steps = StepClock()
    watch(steps)
    del sys.argv[1:3]  # -m mohawk
    try:
        main()
    finally:
        steps.write(Path(tempfile.gettempdir()) / FILE)
