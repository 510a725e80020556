"""Which frames a connection of each purpose carries, in either direction."""

from __future__ import annotations

from mohawk.channel.frames import CONTROL_LIMITS, SLICE_LIMITS, FrameLimits, step_limits
from mohawk.contract.messages import Purpose

_NO_TENSOR_YET = step_limits(0)


def limits_of(purpose: Purpose) -> FrameLimits:
    """A step connection carries no tensor until its owner names the size that plan and token budget imply
    (`Link.carry`).
    """
    return {Purpose.SLICE: SLICE_LIMITS, Purpose.STEP: _NO_TENSOR_YET}.get(purpose, CONTROL_LIMITS)
