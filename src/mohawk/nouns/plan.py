"""Which worker holds which layers: a value, valid by construction, made by `planning`, carried out by `controller`."""

from __future__ import annotations

from dataclasses import dataclass

from mohawk.errors import UsageError
from mohawk.nouns.model import LayerRange, check_partition


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """`worker` (a node's name) holds these layers: a run of one or more sealed slices."""

    worker: str
    layers: LayerRange


@dataclass(frozen=True, slots=True)
class Plan:
    """The stages in the order of the chain. Every layer is in one of them, and no worker has two: a stage cannot hand
    rows to itself.

    Raises UsageError, ArtifactError otherwise.
    """

    stages: tuple[PlannedStage, ...]

    def __post_init__(self) -> None:
        if not self.stages:
            raise UsageError("a plan without stages")
        check_partition(tuple(stage.layers for stage in self.stages), self.layers)
        if len(set(self.workers)) != len(self.stages):
            raise UsageError("a plan that gives one worker two stages", hint="name each worker once")

    @property
    def layers(self) -> int:
        """Of the whole model."""
        return self.stages[-1].layers.last + 1

    @property
    def workers(self) -> tuple[str, ...]:
        """In the order of their stages."""
        return tuple(stage.worker for stage in self.stages)


@dataclass(frozen=True, slots=True)
class SliceSize:
    """What a planner needs to know of one sealed slice: its layers, and the bytes that it takes in memory."""

    layers: LayerRange
    size: int
