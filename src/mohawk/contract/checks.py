"""Checks that the contract's messages share: a field that breaks one is the peer's lie, a MessageError."""

from __future__ import annotations

from collections.abc import Callable

from mohawk.errors import MessageError, RemoteError, UsageError
from mohawk.nouns.model import SamplingParameters

MAXIMUM_TEXT = 512


def require(condition: bool, complaint: str) -> None:  # noqa: FBT001 - reads as a sentence at every call
    if not condition:
        raise MessageError(complaint)


def check_text(*texts: str) -> None:
    for text in texts:
        require(len(text) <= MAXIMUM_TEXT and text.isprintable(), "a text that is too long or holds control characters")


def check_field(parse: Callable[[str], object], text: str) -> None:
    """A field that one of `mohawk.ids`' parsers must accept."""
    try:
        parse(text)
    except RemoteError as error:
        raise MessageError(error.message) from None


def check_sampling_fields(*values: object) -> SamplingParameters:
    """Sampling parameters as a peer sent them: out of bounds is the peer's lie, not our user's mistake."""
    try:
        return SamplingParameters(*values)  # type: ignore[arg-type]
    except UsageError as error:
        raise MessageError(error.message) from None
