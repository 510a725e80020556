"""D14: an operator, or who has his key, revokes whatever comes to mind, in the longest words there are, until no list holds
one more: then nobody can revoke him, and no list is issued that could tell of it.

Expected: refused while there is room left; lists go on being issued; on the authority's own machine he is revoked.

Defence: controller/changes.py:ChangeDesk.revoke (room that is not his to use); removed, he is the last who could revoke.
Defence: host/revocations.py:Revocations.deny (what would not fit is not entered); removed, one entry too many and no
list is ever issued again.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mohawk.contract.operating import Revoke
from mohawk.controller.changes import ChangeDesk
from mohawk.controller.trust import TrustKeeper
from mohawk.errors import UsageError
from mohawk.host.change_file import ChangeFile
from mohawk.host.revocations import Revocations
from mohawk.identity.denylist import MAXIMUM_LIST
from mohawk.identity.names import NodeName, Role
from tests.e2e.inside import Site
from tests.support.audit import Heard
from tests.support.tls import utc_now

MALLORY = NodeName("mesh.example", Role.OPERATOR, "mallory")
FLOOD = 1200
SHORT = [Revoke(f"serial:{number:x}", "") for number in range(1, FLOOD)]
LONG = [Revoke(f"spiffe://{'a' * 60}.example/worker/{'w' * 50}{number}", "x" * 128) for number in range(FLOOD)]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "home")


def flood(desk: ChangeDesk, orders: list[Revoke]) -> None:
    """Until the desk says no."""
    with pytest.raises(UsageError, match="too many"):  # noqa: PT012 - which order is one too many
        for order in orders:
            desk.revoke(MALLORY, order, utc_now())


@pytest.mark.parametrize("orders", [SHORT, LONG], ids=["short", "long"])
def test_who_fills_the_list_is_revoked_all_the_same(site: Site, orders: list[Revoke]) -> None:
    revocations, heard = Revocations(site.authority), Heard()
    flood(ChangeDesk(ChangeFile(site.authority), revocations, {}, heard.record, heard.note), orders)

    async def nothing() -> None:
        """No chain to put together again."""

    context, told = site.context(Role.CONTROLLER, "c1"), []
    keeper = TrustKeeper(site.authority, context, heard.record, heard.note, told.append, nothing)
    revocations.deny(str(MALLORY), "revokes everybody", utc_now())
    keeper.refresh(utc_now())
    assert context.standing.deny_list is not None
    assert context.standing.deny_list.denials[-1].subject == str(MALLORY)
    assert len(told[0].deny_list) <= MAXIMUM_LIST


@pytest.mark.parametrize("orders", [SHORT, LONG], ids=["short", "long"])
def test_nor_does_the_authority_itself_enter_what_no_list_holds(site: Site, orders: list[Revoke]) -> None:
    revocations = Revocations(site.authority)
    with pytest.raises(UsageError, match="too many"):  # noqa: PT012 - which order is one too many
        for order in orders:
            revocations.deny(order.subject, order.reason, utc_now())
    count = len(revocations.denials())
    assert revocations.issue(utc_now())
    assert count > 50
