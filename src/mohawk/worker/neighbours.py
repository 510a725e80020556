"""Whether what passes between this stage and those beside it still passes (docs/spec/messages.md 4.3).

Both ends of a step connection send a pulse, and both listen: a cable that is cut shows within a second, in one
direction too, though each end answers the controller all the while.

Rules, and what each stops:
- Silence is counted in beats, not in time: after our own loop was held up for long, what arrived meanwhile is read
  before a second beat passes, and nobody is accused of our own lateness.
- Any byte counts: a pulse may wait behind a large tensor, which is no silence.
- While we take nothing from the network nobody is silent: a stage that is full does not accuse the one that filled it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mohawk.contract.steps import Pulse
from mohawk.errors import MohawkError
from mohawk.transport.link import Link

BEAT_SECONDS = 0.125
SILENT_BEATS = 6
"""So many beats in a row without a byte: 0.75 to 0.875 s after the last one."""


def watch(link: Link, on_silent: Callable[[], None]) -> None:
    """Send pulses on `link` for as long as it is there, and tell once when its other end has become silent."""
    Watch(link, on_silent).beat()


class Watch:
    """One end of one connection."""

    def __init__(self, link: Link, on_silent: Callable[[], None]) -> None:
        self._link = link
        self._on_silent = on_silent
        self._heard = link.activity
        self._silent = 0

    def beat(self) -> None:
        link = self._link
        if link.is_closing:
            return
        heard, self._heard = self._heard, link.activity
        self._silent = 0 if self._heard != heard or link.is_paused else self._silent + 1
        if self._silent >= SILENT_BEATS:
            self._on_silent()
            return
        asyncio.get_running_loop().call_later(BEAT_SECONDS, self.beat)
        self._send()

    def _send(self) -> None:
        """What waits for the network already tells the other end as much as a pulse would."""
        if self._link.write_paused:
            return
        try:
            self._link.send(Pulse())
        except MohawkError:  # it is ending, and whoever owns it hears why
            return
