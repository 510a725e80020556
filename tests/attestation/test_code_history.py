"""Protects PCR 14's story: starts and stops cannot be swapped, left out or invented."""

from __future__ import annotations

import pytest

from mohawk.attestation.code_history import MAXIMUM_DIGESTS, MAXIMUM_EVENTS, CodeEvent, CodeHistory, parse_history
from mohawk.attestation.reasons import EvidenceError, Reason
from mohawk.crypto.tpm_primitives import TpmHash

A, B = b"a" * 32, b"b" * 32
ALLOWED = frozenset({A, B})


def history(story: str) -> CodeHistory:
    """`+a` starts, `-a` stops."""
    pairs = [story[at : at + 2] for at in range(0, len(story), 2)]
    return CodeHistory(tuple(CodeEvent(pair[1].encode() * 32, is_stop=pair[0] == "-") for pair in pairs))


@pytest.mark.parametrize("story", ["+a", "+a+a", "+a-a+a", "+a+b", "+a-a+b", "+a+a-a+a", "+b-b+a+a"])
def test_running(story: str) -> None:
    history(story).check(ALLOWED)


@pytest.mark.parametrize(
    ("story", "reason"),
    [
        ("", Reason.STOPPED),
        ("+a-a", Reason.STOPPED),
        ("+a+b-b", Reason.STOPPED),
        ("-a", Reason.CODE_HISTORY),
        ("-a+a", Reason.CODE_HISTORY),
        ("+a-b", Reason.CODE_HISTORY),
        ("+a-a-a+a", Reason.CODE_HISTORY),
        ("+c", Reason.CODE),
        ("+c+a", Reason.CODE),
        ("+c-c+a", Reason.CODE),
        ("+a+c", Reason.CODE),
    ],
)
def test_not_running_or_not_ours(story: str, reason: Reason) -> None:
    with pytest.raises(EvidenceError) as refusal:
        history(story).check(ALLOWED)
    assert refusal.value.reason is reason


def test_every_story_has_its_own_end() -> None:
    stories = ["", "+a", "-a", "+b", "+a+a", "+a-a", "-a+a", "+a+b", "+b+a", "+a-a+a"]
    ends = {history(story).replay(TpmHash.SHA256, bytes(32)) for story in stories}
    assert len(ends) == len(stories)
    assert history("+a").replay(TpmHash.SHA256, b"x" * 32) not in ends
    assert len(history("+a").replay(TpmHash.SHA384, bytes(48))) == 48


def test_bounds() -> None:
    start = CodeEvent(A)
    full = CodeHistory((start,) * MAXIMUM_EVENTS)
    with pytest.raises(EvidenceError) as refusal:
        full.then(start)
    assert "restart this machine" in refusal.value.hint
    many = tuple(CodeEvent(bytes([number]) * 32) for number in range(MAXIMUM_DIGESTS))
    digests, events = CodeHistory(many).encode()
    assert (len(digests), len(events)) == (MAXIMUM_DIGESTS * 32, MAXIMUM_DIGESTS)
    with pytest.raises(EvidenceError):
        CodeHistory((*many, CodeEvent(b"z" * 32)))
    with pytest.raises(EvidenceError):
        CodeHistory((CodeEvent(b"short"),))


@pytest.mark.parametrize(
    ("joined", "steps"),
    [(A, b""), (A, b"\2"), (A + B, b"\0"), (A + B, b"\2\0"), (A + A, b"\0\2"), (A[:31], b"\0"), (b"", b"\0")],
    ids=["unused", "beyond", "unused second", "out of order", "twice", "short", "nothing"],
)
def test_spellings_that_are_none(joined: bytes, steps: bytes) -> None:
    with pytest.raises(EvidenceError):
        parse_history(joined, steps)
