"""Plans and measurements as files (docs/spec/planning.md 4): what `mohawk model plan --explain --json` prints can be
given back.

They are an operator's own files. Still, each is bounded, and whatever is not what it should be is a UsageError that
names the field.
"""

from __future__ import annotations

from pathlib import Path

from mohawk.artifact.strict_json import JsonObject, JsonValue, parse_object
from mohawk.errors import HostError, RemoteError, UsageError
from mohawk.nouns.model import LayerRange
from mohawk.nouns.plan import Plan, PlannedStage
from mohawk.planning.cost import Curve, WorkerProfile

_LIMIT = 1 << 20
_VALUES = 1 << 16
_MOST = 1 << 60
"""No number in these files comes near."""
_SCALE = 1e6
"""Times are written in microseconds."""


def read_plan(path: Path) -> Plan:
    """From the field `stages`. Raises UsageError, HostError."""
    try:
        stages = [
            PlannedStage(_text(stage, "worker"), LayerRange.parse(_text(stage, "layers")))
            for stage in _objects(_read(path), "stages")
        ]
        return Plan(tuple(stages))
    except RemoteError as error:
        raise UsageError(f"not a plan: {error.message}", field="plan") from None


def read_measurements(path: Path) -> tuple[WorkerProfile, ...]:
    """From the field `workers`. Raises UsageError, HostError."""
    return tuple(_profile(worker) for worker in _objects(_read(path), "workers"))


def describe_profile(profile: WorkerProfile) -> dict[str, object]:
    """A worker's measurements as they are written."""
    curves = {"layer": profile.layer, "embedding": profile.embedding, "head": profile.head}
    points = {
        name: [[rows, round(seconds * _SCALE, 3)] for rows, seconds in curve.points] if curve is not None else []
        for name, curve in curves.items()
    }
    return {
        "name": profile.name,
        "memory_bytes": profile.memory,
        **points,
        "round_trip_microseconds": round(profile.round_trip * _SCALE, 3),
        "bytes_per_second": round(profile.bandwidth),
        "may_hold_ends": profile.may_hold_ends,
    }


def _profile(worker: JsonObject) -> WorkerProfile:
    layer = _curve(worker, "layer")
    if layer is None:
        raise UsageError("a worker without measurements of a layer", field="layer")
    may_hold_ends = worker.get("may_hold_ends", True)
    if not isinstance(may_hold_ends, bool):
        raise _wrong("may_hold_ends")
    return WorkerProfile(
        name=_text(worker, "name"),
        memory=int(_number(worker.get("memory_bytes"), "memory_bytes")),
        layer=layer,
        embedding=_curve(worker, "embedding"),
        head=_curve(worker, "head"),
        round_trip=_number(worker.get("round_trip_microseconds"), "round_trip_microseconds") / _SCALE,
        bandwidth=_number(worker.get("bytes_per_second"), "bytes_per_second"),
        may_hold_ends=may_hold_ends,
    )


def _curve(worker: JsonObject, field: str) -> Curve | None:
    points = worker.get(field)
    if not isinstance(points, list):
        raise _wrong(field)
    pairs = [point for point in points if isinstance(point, list) and len(point) == 2]
    if len(pairs) != len(points):
        raise _wrong(field)
    read = tuple((int(_number(rows, field)), _number(time, field) / _SCALE) for rows, time in pairs)
    return Curve(read) if read else None


def _read(path: Path) -> JsonObject:
    try:
        with path.open("rb") as file:
            return parse_object(file.read(_LIMIT + 1), limit=_LIMIT, tokens=_VALUES)
    except OSError as error:
        raise HostError(f"{path.name} cannot be read: {error.strerror}") from None
    except RemoteError as error:
        raise UsageError(f"{path.name}: {error.message}") from None


def _objects(document: JsonObject, field: str) -> list[JsonObject]:
    values = document.get(field)
    if not isinstance(values, list):
        raise _wrong(field)
    found = [value for value in values if isinstance(value, dict)]
    if len(found) != len(values):
        raise _wrong(field)
    return found


def _text(values: JsonObject, field: str) -> str:
    value = values.get(field)
    if not isinstance(value, str):
        raise _wrong(field)
    return value


def _number(value: JsonValue, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MOST:
        raise _wrong(field)
    return float(value)


def _wrong(field: str) -> UsageError:
    return UsageError(f"field {field} is missing or not what it should be", field=field)
