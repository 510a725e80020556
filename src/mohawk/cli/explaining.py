"""What a plan is worth, as people and programs read it: stages, bottleneck, tokens/s beside an even split."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from mohawk.checkpoint.settings import read_settings
from mohawk.cli.authority import open_authority
from mohawk.cli.controller import parse_target
from mohawk.cli.deployment import parse_compute
from mohawk.cli.key_option import name_provider
from mohawk.cli.output import human_bytes, print_table
from mohawk.cli.passwords import PasswordSource
from mohawk.config import load_settings
from mohawk.controller.layout import Layout, LayoutChoice, describe_workload
from mohawk.controller.plan_file import describe_profile, read_measurements
from mohawk.controller.service import Controller, ControllerOptions, choose_serving
from mohawk.errors import UsageError
from mohawk.host.authority import AuthorityFolder
from mohawk.host.identity import IdentityFolder, read_node_identity
from mohawk.host.memory import harden_process
from mohawk.host.sealed_folder import SealedFolder
from mohawk.nouns.plan import Plan
from mohawk.planning.cost import CostModel
from mohawk.planning.measured import Prediction, is_possible, place_measured, predict
from mohawk.planning.placement import place_evenly
from mohawk.planning.programme import find_slices

SHOWN_ROWS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True, slots=True)
class Question:
    """How a sealed model is to be laid out. `rows`: of the step that the plan is made for."""

    folder: Path
    dtype: str
    kv_tokens: int
    rows: int
    may_hold_ends: tuple[str, ...]
    pki: Path | None
    passwords: PasswordSource


def answer(question: Question, workers: list[str], identity: Path | None, measurements: Path | None) -> LayoutChoice:
    """The best plan for workers that are measured now, or were before. Raises MohawkError."""
    if bool(workers) == (measurements is not None):
        raise UsageError("a plan is made for workers or for measurements of them", hint="--worker or --measurements")
    harden_process()
    authority = open_authority(question.pki, question.passwords)
    folder = SealedFolder.open(question.folder, authority.pins())
    if measurements is not None:
        return _plan_from_file(question, folder, measurements)
    if identity is None:
        raise UsageError("workers answer a controller only", hint="--identity FOLDER of `mohawk pki issue controller`")
    choice = asyncio.run(_survey(_options(question, folder, authority, workers, identity)))
    return _replan(choice, question)


def _plan_from_file(question: Question, folder: SealedFolder, measurements: Path) -> LayoutChoice:
    profiles = read_measurements(measurements)
    allowed = question.may_hold_ends
    if allowed:
        profiles = tuple(replace(one, may_hold_ends=one.name in allowed) for one in profiles)
    settings = read_settings(folder.side_files())
    serving = choose_serving(folder.manifest, settings, parse_compute(question.dtype), question.kv_tokens)
    model = describe_workload(folder.manifest, serving, settings, question.rows)
    even = place_evenly(folder.manifest.sizes(), [profile.name for profile in profiles])
    return LayoutChoice(place_measured(model, profiles), even, model, profiles)


def _options(
    question: Question, folder: SealedFolder, authority: AuthorityFolder, workers: list[str], identity: Path
) -> ControllerOptions:
    passwords = question.passwords.to_open(is_encrypted=IdentityFolder(identity).is_encrypted)
    credentials = read_node_identity(identity, passwords)
    credentials.check(datetime.now(UTC))
    return ControllerOptions(
        credentials=credentials,
        authority=authority,
        folder=folder,
        provider=name_provider(None, load_settings()),
        targets=tuple(parse_target(text) for text in workers),
        layout=Layout.MEASURED,
        may_hold_ends=question.may_hold_ends,
        compute=parse_compute(question.dtype),
        kv_tokens=question.kv_tokens,
    )


async def _survey(options: ControllerOptions) -> LayoutChoice:
    controller = Controller(options)
    try:
        return await controller.survey()
    finally:
        await controller.stop()


def _replan(choice: LayoutChoice, question: Question) -> LayoutChoice:
    """For steps of as many rows as were asked for."""
    model = CostModel(replace(choice.model.load, rows=question.rows))
    plan = place_measured(model, choice.profiles) if choice.profiles else choice.plan
    return replace(choice, model=model, plan=plan)


def sum_up(choice: LayoutChoice) -> str:
    """The plan in one line."""
    stages = ", ".join(f"{stage.worker} {stage.layers.slice_id}" for stage in choice.plan.stages)
    if not choice.profiles:
        return f"plan: {stages}"
    ours, even = _predict(choice, choice.plan), _predict(choice, choice.even)
    against = f"{even.tokens_per_second:.1f} evenly" if even is not None else "an even split does not fit"
    kind = "even" if choice.plan == choice.even else "measured"
    assert ours is not None  # it was chosen, so it is possible
    rate = f"{ours.tokens_per_second:.1f} tokens/s expected at {ours.rows} rows a step and all stages busy"
    return f"plan ({kind}): {stages}; {rate}, {against}"


def explain_choice(choice: LayoutChoice) -> dict[str, object]:
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
        "expected tokens/s (even split), and how long one sequence waits for its next token",
        ("rows a step", "every stage busy", "one step at a time", "wait"),
        [
            (
                row["rows"],
                f"{row['tokens_per_second']} ({row['even_tokens_per_second']})",
                f"{row['one_step_tokens_per_second']} ({row['even_one_step_tokens_per_second']})",
                f"{row['milliseconds']} ms",
            )
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
        "one_step_tokens_per_second": round(ours.tokens_per_second_alone, 1),
        "even_one_step_tokens_per_second": round(even.tokens_per_second_alone, 1) if even is not None else None,
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
