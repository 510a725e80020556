"""An event is short, plain and closed in kind, or it is not made."""

from __future__ import annotations

import pytest

from mohawk.audit.events import MAXIMUM_DETAILS, MAXIMUM_TEXT, AuditEvent, EventKind
from mohawk.errors import UsageError
from mohawk.identity.names import NodeName, Role

LONG = "x" * (MAXIMUM_TEXT + 1)


@pytest.mark.parametrize(
    ("subject", "details"),
    [
        (LONG, {}),
        ("w1", {"reason": LONG}),
        ("w1", {f"detail_{number}": "" for number in range(MAXIMUM_DETAILS + 1)}),
        ("w1", {"Reason": ""}),
        ("w1", {"": ""}),
        ("w1", {"reason\n": ""}),
        ("w1", {"r" * 33: ""}),
    ],
    ids=["subject", "detail", "details", "capital", "empty name", "newline", "long name"],
)
def test_what_is_too_long_or_not_plain_is_our_own_mistake(subject: str, details: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        AuditEvent(EventKind.STARTED, subject, details)


def test_the_longest_name_fits() -> None:
    label = "a" * 63
    domain = ".".join([label, label, label, "a" * 62])
    AuditEvent(EventKind.STARTED, str(NodeName(domain, Role.CONTROLLER, label)))


def test_an_event_does_not_change_after_it_was_made() -> None:
    details = {"reason": "revoked"}
    event = AuditEvent(EventKind.NODE_REVOKED, "w1", details)
    details["reason"] = "none"
    assert event.details == {"reason": "revoked"}
    with pytest.raises(TypeError):
        event.details["reason"] = "none"  # type: ignore[index]


def test_kinds_are_words_and_each_its_own() -> None:
    words = [kind.value for kind in EventKind]
    assert len(set(words)) == len(words)
    assert all(word.replace("-", "").isalpha() and word.islower() for word in words)
