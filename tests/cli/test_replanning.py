"""What an operator reads of a new plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mohawk.cli.output import print_json
from mohawk.cli.replanning import describe_plans, print_plans
from mohawk.contract.operating import PlannedWorker, Replanned
from mohawk.controller.plan_file import read_plan

OLD = (PlannedWorker("w1", "slice_0_3", 8_000_000), PlannedWorker("w2", "slice_4_4", 1_000_000))
NEW = (PlannedWorker("w1", "slice_0_1", 4_000_000), PlannedWorker("w2", "slice_2_4", 3_000_000))
MOVED = Replanned(8, OLD, NEW, True, 1500, 40, ("w3",))


def test_both_plans_are_shown_with_what_they_are_worth(capsys: pytest.CaptureFixture[str]) -> None:
    print_plans(MOVED)
    shown = capsys.readouterr().out
    assert "1000.0 tokens/s expected at 8 rows a step" in shown
    assert "2000.0 tokens/s expected at 8 rows a step" in shown
    assert shown.count("(bottleneck)") == 2
    assert "w3" in shown
    assert "loaded for 1.5 s while the old plan served, then steps waited 0.04 s" in shown


def test_what_was_not_moved_is_not_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    print_plans(replace(MOVED, moved=False))
    shown = capsys.readouterr().out
    assert "would be better" in shown
    assert "nothing was moved" in shown
    print_plans(replace(MOVED, new=OLD, moved=False))
    assert "nothing to move" in capsys.readouterr().out


def test_programs_read_a_plan_that_can_be_given_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_json(describe_plans(MOVED))
    (tmp_path / "plan.json").write_text(capsys.readouterr().out)
    plan = read_plan(tmp_path / "plan.json")
    assert [(stage.worker, stage.layers.slice_id) for stage in plan.stages] == [(one.name, one.run_id) for one in NEW]
