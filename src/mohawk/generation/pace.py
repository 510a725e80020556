"""How much of a prompt a step may take without stalling those who are reading their answers.

What a step costs is measured as it is served: a part that decoding takes, and a part for each prompt token beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

STRETCH = 1.6
"""A step with a piece of a prompt may take so many times what it takes without: below 2, so that even the slowest steps
of a long prompt keep a reader's pace.
"""
SMALLEST_PIECE = 8
"""Prompt tokens that every step may take, however slow: a prompt is never starved."""
FIRST_PATIENCE_SECONDS = 30.0
"""For a step before anything is known: of a full token budget on a slow machine."""
LEAST_PATIENCE_SECONDS = 5.0
PATIENCE = 20
"""A step is late when it takes so many times what was measured."""
LEAST_HASTE_SECONDS = 0.75
HASTE = 15
"""A step is suspect when it takes so many times what was measured."""
HASTE_STAGE = 4
"""The same for each stage: what was measured is the slowest stage's time while all are busy, and a step that travels
alone takes the sum of all.
"""
FAMILIAR = 32
"""So many steps are measured before any is suspect."""
MOST_DOUBT = 8.0
_RELIEF = 0.98
"""What each step that comes back leaves of the doubt."""
REFRESH = 32
"""Steps in a row that may take a piece of a prompt beside decoding; then one only decodes. Under a steady crowd nobody
would ever know what that costs: pieces would stay the smallest, and patience the first.
"""
FIRST_LOOK = 4
"""The same, before it was ever measured."""
_WEIGHT = 0.2
"""Of the newest measurement in the running means."""


@dataclass(slots=True)
class Pace:
    """Running means, in seconds. Nothing is known before the first steps; then a piece is the smallest."""

    decode: float | None = None
    """A step that only decodes."""
    prompt_token: float | None = None
    """What one more prompt token adds."""
    mixed: int = 0
    """Steps that decoded beside prompt tokens since one that only decoded."""
    steps: int = 0
    """That were measured."""
    doubts: float = 1.0
    """In ourselves: how many times longer steps are waited for, after some that seemed lost."""

    @property
    def is_unsure(self) -> bool:
        """A step that only decodes is needed, to be measured."""
        return self.mixed >= (FIRST_LOOK if self.decode is None else REFRESH)

    def observe(self, *, decoding: int, prompt_tokens: int, seconds: float) -> None:
        """A step that decoded so many sequences, beside so many prompt tokens, occupied the chain for so long."""
        self.steps += 1
        self.doubts = max(1.0, self.doubts * _RELIEF)
        if not prompt_tokens:
            self.decode, self.mixed = _mix(self.decode, seconds), 0
            return
        self.mixed += decoding > 0
        base = (self.decode or 0.0) if decoding else 0.0
        self.prompt_token = _mix(self.prompt_token, max(seconds - base, 0.0) / prompt_tokens)

    def allowance(self) -> int:
        """Prompt tokens that a step may take while somebody decodes."""
        if self.decode is None or not self.prompt_token:
            return SMALLEST_PIECE
        return max(SMALLEST_PIECE, int((STRETCH - 1.0) * self.decode / self.prompt_token))

    def patience(self, tokens: int) -> float:
        """Seconds after which a step of so many tokens must have come back."""
        if self.decode is None or self.prompt_token is None:
            return FIRST_PATIENCE_SECONDS
        return max(LEAST_PATIENCE_SECONDS, PATIENCE * (self.decode + tokens * self.prompt_token))

    def haste(self, tokens: int, stages: int) -> float:
        """Seconds, from when the step before it came back, after which a step of so many tokens is suspect: not worth
        waiting for where another worker could take over at once, though it may come yet. Never more than `patience`.
        """
        if self.decode is None or self.prompt_token is None or self.steps < FAMILIAR:
            return self.patience(tokens)
        expected = self.decode + tokens * self.prompt_token
        times = max(HASTE, HASTE_STAGE * stages)
        return min(self.patience(tokens), self.doubts * max(LEAST_HASTE_SECONDS, times * expected))

    def doubt(self) -> None:
        """A step was late. If it was only slow, the next one must not be given up as soon (RFC 6298, 5.5)."""
        self.doubts = min(MOST_DOUBT, 2.0 * self.doubts)


def _mix(mean: float | None, value: float) -> float:
    return value if mean is None else mean + _WEIGHT * (value - mean)
