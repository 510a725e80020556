"""A plan that exists can be carried out: every layer in one stage, no worker with two."""

from __future__ import annotations

import pytest

from mohawk.errors import MohawkError
from mohawk.nouns.model import LayerRange
from mohawk.nouns.plan import Plan, PlannedStage


def make_plan(*stages: tuple[str, int, int]) -> Plan:
    return Plan(tuple(PlannedStage(worker, LayerRange(first, last)) for worker, first, last in stages))


def test_a_plan_knows_its_depth_and_its_workers():
    plan = make_plan(("b", 0, 3), ("a", 4, 5))

    assert plan.layers == 6
    assert plan.workers == ("b", "a")


@pytest.mark.parametrize(
    "stages",
    [
        (),
        (("a", 1, 3),),
        (("a", 0, 3), ("b", 5, 6)),
        (("a", 0, 3), ("b", 3, 6)),
        (("a", 0, 3), ("a", 4, 6)),
    ],
    ids=["no stage", "no first layer", "hole", "overlap", "one worker twice"],
)
def test_what_cannot_be_carried_out_is_no_plan(stages: tuple[tuple[str, int, int], ...]):
    with pytest.raises(MohawkError):
        make_plan(*stages)
