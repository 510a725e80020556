"""How fast this machine computes a model that it does not have: layers of the model's own config, with random weights.

What is timed is what serves: the same stage, pool, attention and kernels. Decoding reads every weight once per step, so
the layers that are timed together are larger than a processor's caches; one layer again and again would be read from
them, and look several times faster than a stage of many.

A worker that serves meanwhile goes on: each pass that is timed is a turn of its own between two steps.

Limits: layers of several kinds (sparse and dense, sliding and full) are averaged over those that are timed; random
weights send rows to experts evenly; keys and values of `HISTORY` tokens per sequence.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from transformers import PretrainedConfig
from transformers.core_model_loading import revert_weight_conversion

from mohawk.model.families import read_config
from mohawk.model.loading import fill_stage
from mohawk.model.slicing import slice_class
from mohawk.model.stage import Segment, Stage
from mohawk.model.tensors import TORCH_TYPES
from mohawk.model.turns import Turns
from mohawk.nouns.model import BLOCK_TOKENS, DataType, LayerRange, blocks_for

HISTORY = 128
"""Tokens that each sequence has before the steps that are timed. More rows than this are one prompt's."""
_BEYOND_CACHES = 256 << 20
_PASSES = 5
_LEAST_SECONDS = 0.15
"""For each number of rows: at least so many passes, and so long; the median counts."""

Clock = Callable[[], float]
"""Seconds that only grow."""
Times = Mapping[int, float]
"""Rows -> seconds; empty: no room to measure."""


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Of one layer, and of what the first and the last stage do beside their layers."""

    layer: Times
    embedding: Times
    head: Times


def time_stage(
    config: bytes, compute: DataType, rows: Sequence[int], room: int, clock: Clock, in_turn: Turns
) -> StageTimes:
    """`config`: config.json; `room`: bytes that may be taken. Blocking, for a thread that does not compute. What does
    not fit is not measured. Raises ArtifactError, UnsupportedModelError.
    """
    parsed = read_config(config)
    probe = _Probe(parsed, compute, tuple(rows), room, clock, in_turn)
    total = parsed.num_hidden_layers
    ends = LayerRange(0, 0), LayerRange(total - 1, total - 1)
    inner = probe.time(probe.enough_layers())
    first, last = (probe.time(layers) if total > 1 else inner for layers in ends)
    return StageTimes(inner, _beyond(first, inner), _beyond(last, inner))


def _beyond(whole: Times, layer: Times) -> Times:
    return {rows: max(0.0, seconds - layer[rows]) for rows, seconds in whole.items() if rows in layer}


@dataclass(frozen=True, slots=True)
class _Probe:
    config: PretrainedConfig
    compute: DataType
    rows: tuple[int, ...]
    room: int
    clock: Clock
    in_turn: Turns

    def enough_layers(self) -> LayerRange:
        """Of those between the ends (all, where a model has no more than two): as many as caches do not hold, in the
        middle.
        """
        total: int = self.config.num_hidden_layers
        inner = LayerRange(1, total - 2) if total > 2 else LayerRange(0, total - 1)
        middle = (inner.first + inner.last) // 2
        size = max(1, self._size(LayerRange(middle, middle)))
        count = min(len(inner), -(-_BEYOND_CACHES // size), max(1, self.room // 2 // size))
        first = inner.first + (len(inner) - count) // 2
        return LayerRange(first, first + count - 1)

    def time(self, layers: LayerRange) -> Times:
        """Seconds per layer, for each number of rows."""
        if 2 * self._size(layers) > self.room:
            return {}
        stage = self._build(layers)
        return {rows: self._time(stage, rows) / len(layers) for rows in self.rows}

    def _size(self, layers: LayerRange) -> int:
        shapes, _family, _config = self.in_turn(lambda: self._shapes(layers))
        return sum(tensor.numel() for tensor in shapes.values()) * self.compute.size

    def _shapes(self, layers: LayerRange) -> tuple[Mapping[str, torch.Tensor], type[Any], PretrainedConfig]:
        """The parameters of these layers without their content, by the names that a checkpoint would give them."""
        config = copy.deepcopy(self.config)
        if layers != LayerRange(0, config.num_hidden_layers - 1):
            config.tie_word_embeddings = False
        family = slice_class(config, layers)
        with torch.device("meta"):
            model = family(copy.deepcopy(config))
            return revert_weight_conversion(model, model.state_dict()), family, config

    def _build(self, layers: LayerRange) -> Stage:
        shapes, family, config = self.in_turn(lambda: self._shapes(layers))
        state = {name: self._random(tensor) for name, tensor in shapes.items()}
        sequences = max([1, *(rows for rows in self.rows if rows <= HISTORY)])
        tokens = sequences * blocks_for(HISTORY + 1) * BLOCK_TOKENS + blocks_for(max(self.rows)) * BLOCK_TOKENS
        stage = self.in_turn(lambda: fill_stage(family, config, layers, state, self.compute, tokens))
        self.in_turn(stage.pack)  # as a worker does, unless it is short of memory
        return stage

    def _random(self, shape: torch.Tensor) -> torch.Tensor:
        dtype = TORCH_TYPES[self.compute] if shape.is_floating_point() else shape.dtype
        tensor = torch.zeros(shape.shape, dtype=dtype)
        return tensor.uniform_(-0.05, 0.05) if shape.is_floating_point() else tensor

    def _time(self, stage: Stage, rows: int) -> float:
        """Seconds of one step, the median of several; one before them warms up."""
        segments = self.in_turn(lambda: _open(stage, rows))
        inputs = _inputs(stage, rows)
        sampled = range(rows) if stage.is_last and rows < HISTORY else ()
        times: list[float] = []

        def run() -> float:
            begin = self.clock()
            stage.run(segments, inputs, sampled)
            return self.clock() - begin

        try:
            while len(times) <= _PASSES or sum(times[1:]) < _LEAST_SECONDS:
                times.append(self.in_turn(run))
                _rewind(stage, segments)
        finally:
            stage.clear()
        return median(times[1:])


def _open(stage: Stage, rows: int) -> list[Segment]:
    """The sequences of a step: one row each, behind a history; or one prompt."""
    if rows >= HISTORY:
        stage.reserve(0, rows)
        return [Segment(0, 0, rows)]
    stage.reserve(0, HISTORY + 1)
    stage.run([Segment(0, 0, HISTORY)], _inputs(stage, HISTORY))
    for sequence in range(1, rows):
        stage.reserve(sequence, HISTORY + 1)
        stage.copy(0, sequence, HISTORY)
    return [Segment(sequence, HISTORY, 1) for sequence in range(rows)]


def _rewind(stage: Stage, segments: Sequence[Segment]) -> None:
    """As if the step had not been: its own tokens are given back, history is kept."""
    for segment in segments:
        if segment.start:
            stage.adopt(segment.sequence, -1, segment.start, HISTORY + 1)
            stage.adopt(-1, segment.sequence, segment.start, HISTORY + 1)
        else:
            stage.free(segment.sequence)
            stage.reserve(segment.sequence, segment.count)


def _inputs(stage: Stage, rows: int) -> list[int] | torch.Tensor:
    if stage.is_first:
        return [row * 7919 % stage.vocabulary_size for row in range(rows)]
    return torch.full((rows, stage.hidden_size), 0.1).to(TORCH_TYPES[stage.dtype])
