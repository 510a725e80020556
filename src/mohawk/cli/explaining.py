"""What a plan is worth, as people and programs read it: stages, bottleneck, tokens/s beside an even split."""

from __future__ import annotations

from mohawk.cli.output import human_bytes, print_table
from mohawk.controller.layout import LayoutChoice
from mohawk.controller.plan_file import describe_profile
from mohawk.errors import UsageError
from mohawk.nouns.plan import Plan
from mohawk.planning.measured import Prediction, is_possible, predict
from mohawk.planning.programme import find_slices

SHOWN_ROWS = (1, 2, 4, 8, 16, 32)


def sum_up(choice: LayoutChoice) -> str:
    """The plan in one line."""
    stages = ", ".join(f"{stage.worker} {stage.layers.slice_id}" for stage in choice.plan.stages)
    if not choice.profiles:
        return f"plan: {stages}"
    ours, even = _predict(choice, choice.plan), _predict(choice, choice.even)
    against = f"{even.tokens_per_second:.1f} evenly" if even is not None else "an even split does not fit"
    kind = "even" if choice.plan == choice.even else "measured"
    assert ours is not None  # it was chosen, so it is possible
    rate = f"{ours.tokens_per_second:.1f} tokens/s expected at {ours.rows} rows a step"
    return f"plan ({kind}): {stages}; {rate}, {against}"


def explain(choice: LayoutChoice) -> dict[str, object]:
    """Everything that is known of a choice; `stages` and `workers` can be given back as files."""
    ours = _predict(choice, choice.plan)
    assert ours is not None  # it was chosen, so it is possible
    stages = [
        {
            "worker": stage.worker,
            "layers": stage.layers.slice_id,
            "step_milliseconds": round(cost.busy * 1e3, 3),
            "memory_bytes": choice.model.memory(*find_slices(choice.model, stage.layers)),
            "is_bottleneck": number == ours.bottleneck,
        }
        for number, (stage, cost) in enumerate(zip(choice.plan.stages, ours.stages, strict=True))
    ]
    return {
        "rows": ours.rows,
        "stages": stages,
        "left_out": sorted({profile.name for profile in choice.profiles} - set(choice.plan.workers)),
        "even": [{"worker": stage.worker, "layers": stage.layers.slice_id} for stage in choice.even.stages],
        "expected": [_compare(choice, rows) for rows in SHOWN_ROWS],
        "workers": [describe_profile(profile) for profile in choice.profiles],
    }


def print_explanation(choice: LayoutChoice) -> None:
    ours = _predict(choice, choice.plan)
    assert ours is not None  # it was chosen, so it is possible
    print_table(
        f"stages, at {ours.rows} rows a step",
        ("worker", "layers", "", "time of a step", "memory"),
        [
            (
                stage.worker,
                stage.layers.slice_id,
                len(stage.layers),
                f"{cost.busy * 1e3:.1f} ms" + (" (bottleneck)" if number == ours.bottleneck else ""),
                human_bytes(choice.model.memory(*find_slices(choice.model, stage.layers))),
            )
            for number, (stage, cost) in enumerate(zip(choice.plan.stages, ours.stages, strict=True))
        ],
    )
    print_table(
        "expected tokens/s, every stage busy",
        ("rows a step", "this plan", "even split", "one sequence waits for its next token"),
        [
            (row["rows"], row["tokens_per_second"], row["even_tokens_per_second"], f"{row['milliseconds']} ms")
            for row in (_compare(choice, rows) for rows in SHOWN_ROWS)
        ],
    )
    left_out = sorted({profile.name for profile in choice.profiles} - set(choice.plan.workers))
    if left_out:
        print_table("", ("left out",), [(name,) for name in left_out])


def _compare(choice: LayoutChoice, rows: int) -> dict[str, object]:
    ours, even = _predict(choice, choice.plan, rows), _predict(choice, choice.even, rows)
    assert ours is not None  # it was chosen, so it is possible
    return {
        "rows": rows,
        "tokens_per_second": round(ours.tokens_per_second, 1),
        "even_tokens_per_second": round(even.tokens_per_second, 1) if even is not None else None,
        "milliseconds": round(ours.latency * 1e3, 1),
    }


def _predict(choice: LayoutChoice, plan: Plan, rows: int | None = None) -> Prediction | None:
    """None: it is not possible."""
    try:
        if not is_possible(choice.model, choice.profiles, plan):
            return None
        return predict(choice.model, choice.profiles, plan, rows)
    except UsageError:
        return None
