"""One thing goes wrong, and spares stand by: no request fails, and streams go on: what is lost is known within a second or so, and taken over within another."""

from __future__ import annotations

import pytest

from tests.simulation.faults import PROMPT_DETECTION, PROMPT_REPAIR, Blow, Kind
from tests.simulation.run import Run, simulate

STAGES = 4
SEED = 5
"""Of a crowd that nobody is turned away from."""


@pytest.mark.parametrize("stage", [0, 1, STAGES - 1])
@pytest.mark.parametrize("kind", list(Kind))
def test_no_request_fails(kind: Kind, stage: int) -> None:
    blow = Blow(1.2, kind, stage, lasting=30.0)
    outcome = simulate(Run(SEED, sessions=80, workers=STAGES + 2, stages=STAGES, blows=(blow,)))
    assert outcome.violations == []
    assert set(outcome.ends) <= {"complete", "left"}
    assert outcome.faults.total() == 1
    assert outcome.longest_silence <= PROMPT_DETECTION[kind] + PROMPT_REPAIR
