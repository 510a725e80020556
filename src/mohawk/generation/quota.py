"""How much one API key may ask for."""

from __future__ import annotations

from dataclasses import dataclass, fields

from mohawk.errors import UsageError

MOST = 10**9
"""Of any limit: what is meant to be unlimited is left out."""


@dataclass(frozen=True, slots=True)
class Limits:
    """None: no limit. Raises UsageError naming the field."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """Of prompts and answers together."""
    concurrency: int | None = None
    """Answers at once."""
    sessions: int | None = None
    """Sessions held at once."""

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= MOST:
                raise UsageError(f"{name} lies between 1 and {MOST}", field=name)


UNLIMITED = Limits()
