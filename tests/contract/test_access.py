"""The table of roles: each cell as the specification says it, and everything else denied."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from mohawk.contract.access import ACCESS, GREETINGS, AccessRefusedError, Parties, Scope, check_access, check_opening
from mohawk.contract.admission import _FROM_DIALLER, _FROM_LISTENER
from mohawk.contract.messages import MESSAGES, Purpose
from mohawk.identity.names import Role

SPEC = Path(__file__).parents[2] / "docs" / "spec" / "access.md"
PAIRS = list(itertools.product(Role, Role))


def specified() -> dict[tuple[str, str, str], Scope]:
    """Every cell of the specification's table."""
    cells = {}
    for sender, receiver, said in re.findall(r"^\| (\w+) \| (\w+) \| (.+) \|$", SPEC.read_text(), re.MULTILINE):
        if sender in set(Role):
            for word in said.split(", "):
                name, _, own = word.partition(" ")
                cells[sender, receiver, name] = Scope.OWN if own == "(own)" else Scope.ANY
    return cells


@pytest.mark.parametrize(("sender", "receiver"), PAIRS, ids=[f"{a} to {b}" for a, b in PAIRS])
def test_every_cell_is_as_specified_and_the_rest_is_denied(sender: Role, receiver: Role) -> None:
    expected = specified()
    for message in MESSAGES - GREETINGS:
        cell = expected.get((sender, receiver, message.__name__))
        if cell is None:
            with pytest.raises(AccessRefusedError) as refusal:
                check_access(sender, receiver, message)
            assert refusal.value.http_status == 403
        else:
            assert check_access(sender, receiver, message) is cell


def test_every_message_of_the_contract_has_somebody_who_may_say_it() -> None:
    said = {message for row in ACCESS.values() for message in row}
    assert said == MESSAGES - GREETINGS


def test_what_is_not_a_message_is_denied() -> None:
    with pytest.raises(AccessRefusedError):
        check_access(Role.CONTROLLER, Role.WORKER, str)


@pytest.mark.parametrize("purpose", Purpose)
def test_only_those_who_may_say_something_may_connect(purpose: Purpose) -> None:
    openers = {
        Purpose.CONTROL: {(Role.CONTROLLER, Role.WORKER)},
        Purpose.SLICE: {(Role.CONTROLLER, Role.WORKER)},
        Purpose.STEP: {(Role.CONTROLLER, Role.WORKER), (Role.WORKER, Role.WORKER)},
        Purpose.OPERATOR: {(Role.OPERATOR, Role.CONTROLLER), (Role.AUDITOR, Role.CONTROLLER)},
    }[purpose]
    for pair in PAIRS:
        if pair in openers:
            check_opening(*pair, purpose)
        else:
            with pytest.raises(AccessRefusedError):
                check_opening(*pair, purpose)


def test_a_purpose_carries_nothing_that_nobody_may_say_there() -> None:
    """A row that is missing would only show when somebody needs it."""
    for purpose in Purpose:
        pairs = [pair for pair in PAIRS if _opens(pair, purpose)]
        for message in _FROM_DIALLER[purpose]:
            assert any(message in ACCESS.get(Parties(*pair), {}) for pair in pairs), (purpose, message)
        for message in _FROM_LISTENER[purpose] - GREETINGS:
            assert any(message in ACCESS.get(Parties(*pair[::-1]), {}) for pair in pairs), (purpose, message)


def _opens(pair: tuple[Role, Role], purpose: Purpose) -> bool:
    try:
        check_opening(*pair, purpose)
    except AccessRefusedError:
        return False
    return True
