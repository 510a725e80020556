"""Two plans beside each other, as people and programs read them."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from mohawk.cli.output import print_table
from mohawk.contract.operating import PlannedWorker, Replanned
from mohawk.nouns.model import LayerRange


def describe_plans(found: Replanned) -> dict[str, object]:
    """`stages` is the new plan, as `mohawk controller run --plan` takes it (docs/spec/planning.md 4)."""
    return {
        "rows": found.rows,
        "old": _describe(found.old),
        "stages": _describe(found.new),
        "old_tokens_per_second": _rate(found, found.old),
        "tokens_per_second": _rate(found, found.new),
        "moved": found.moved,
        "load_milliseconds": found.load_milliseconds,
        "hold_milliseconds": found.hold_milliseconds,
        "unmeasured": list(found.unmeasured),
    }


def print_plans(found: Replanned) -> None:
    _print_plan("the old plan" if found.moved else "the plan that serves", found, found.old)
    if found.new != found.old:
        _print_plan("the plan that serves now" if found.moved else "the plan that would be better", found, found.new)
    if found.unmeasured:
        print_table("", ("left out, not measured",), [(name,) for name in found.unmeasured])
    typer.echo(_conclude(found))


def _conclude(found: Replanned) -> str:
    if found.new == found.old:
        return "nothing to move: no other plan is so much better that it is worth it"
    if not found.moved:
        return "nothing was moved"
    loaded, held = found.load_milliseconds / 1000, found.hold_milliseconds / 1000
    return f"moved: stages were loaded for {loaded:.1f} s while the old plan served, then steps waited {held:.2f} s"


def _print_plan(title: str, found: Replanned, plan: Sequence[PlannedWorker]) -> None:
    print_table(
        f"{title}: {_rate(found, plan)} tokens/s expected at {found.rows} rows a step, every stage busy",
        ("worker", "layers", "", "time of a step"),
        [
            (
                stage.name,
                stage.run_id,
                len(LayerRange.parse(stage.run_id)),
                f"{stage.busy_nanoseconds / 1e6:.1f} ms" + (" (bottleneck)" if stage is _bottleneck(plan) else ""),
            )
            for stage in plan
        ],
    )


def _describe(plan: Sequence[PlannedWorker]) -> list[dict[str, object]]:
    return [
        {
            "worker": stage.name,
            "layers": stage.run_id,
            "step_milliseconds": round(stage.busy_nanoseconds / 1e6, 3),
            "is_bottleneck": stage is _bottleneck(plan),
        }
        for stage in plan
    ]


def _bottleneck(plan: Sequence[PlannedWorker]) -> PlannedWorker:
    return max(plan, key=lambda stage: stage.busy_nanoseconds)


def _rate(found: Replanned, plan: Sequence[PlannedWorker]) -> float:
    return round(found.rows * 1e9 / max(_bottleneck(plan).busy_nanoseconds, 1), 1)
