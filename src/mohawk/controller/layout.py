"""Which worker gets which layers at the start: given, even, or measured. No key is released before this is settled."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from mohawk.artifact.manifest import Manifest
from mohawk.checkpoint.settings import TextSettings
from mohawk.contract.probing import ProbeStage
from mohawk.contract.steps import ElementType
from mohawk.controller.cluster import Cluster
from mohawk.controller.loading import ServingOptions
from mohawk.controller.probing import PROBE_ROWS, probe_memory, probe_workers
from mohawk.errors import UsageError
from mohawk.nouns.model import DataType
from mohawk.nouns.plan import Plan, SliceSize
from mohawk.planning.cost import CostModel, WorkerProfile, Workload
from mohawk.planning.measured import check_memory, choose_plan, is_possible, place_measured

PLANNED_ROWS = 8
"""Rows of the step that plans are made for: sixteen sequences on two stages."""


class Layout(StrEnum):
    """How a plan comes about that nobody wrote down."""

    EVEN = "even"
    """By bytes, in the order of the workers."""
    MEASURED = "measured"
    """The best for what the workers can do."""
    AUTO = "auto"
    """Measured where that is measurably better, else even."""


@dataclass(frozen=True, slots=True)
class LayoutChoice:
    """The plan, and the one that it stands instead of. `profiles`: of whoever was timed."""

    plan: Plan
    even: Plan
    model: CostModel
    profiles: tuple[WorkerProfile, ...] = ()


def describe_workload(
    manifest: Manifest, serving: ServingOptions, settings: TextSettings, rows: int = PLANNED_ROWS
) -> CostModel:
    """What serving this model takes. Weights of another type than the compute type are there twice: as they were
    opened, and converted.
    """
    width = serving.compute.size
    slices = tuple(SliceSize(part.layers, _in_memory(part.size, manifest.dtype, serving)) for part in manifest.sizes())
    kv_bytes = 2 * settings.kv_heads * settings.head_dim * width * serving.kv_tokens
    return CostModel(Workload(slices, rows, serving.hidden_size * width, kv_bytes))


async def choose_layout(
    cluster: Cluster, model: CostModel, layout: Layout, may_hold_ends: Collection[str]
) -> LayoutChoice:
    """Asks the connected workers for memory and, unless the plan is settled, for their speed. Raises UsageError: no
    plan is possible, and why; RemoteError, UnavailableError.
    """
    order = describe_probe(cluster, PROBE_ROWS)
    given = cluster.plan
    if layout is Layout.EVEN or (layout is Layout.AUTO and len(cluster.members) == 1):
        _check_ends(given, may_hold_ends)
        check_memory(model, await probe_memory(cluster.members, order), given)
        return LayoutChoice(given, given, model)
    profiles = await probe_workers(cluster.members, order, may_hold_ends)
    try:
        plan = place_measured(model, profiles) if layout is Layout.MEASURED else choose_plan(model, profiles, given)
    except UsageError:
        check_memory(model, {profile.name: profile.memory for profile in profiles}, given)
        raise
    assert is_possible(model, profiles, plan)
    return LayoutChoice(plan, given, model, profiles)


def describe_probe(cluster: Cluster, rows: tuple[int, ...]) -> ProbeStage:
    """What a worker is asked, to measure steps of so many rows."""
    element = ElementType[cluster.options.compute.value]
    return ProbeStage(cluster.folder.envelope, cluster.loader.config, element, rows)


def _in_memory(size: int, stored: DataType, serving: ServingOptions) -> int:
    return size if stored is serving.compute else size + size * serving.compute.size // stored.size


def _check_ends(plan: Plan, may_hold_ends: Collection[str]) -> None:
    for worker in (plan.workers[0], plan.workers[-1]):
        if may_hold_ends and worker not in may_hold_ends:
            raise UsageError(
                f"{worker} may not hold the first or the last stage", hint="see --may-hold-ends", field="plan"
            )
