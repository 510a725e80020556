"""J04: a revoked node comes back by a fresh join token; a revoked controller hands out identities.

Expected: no certificate for a denied name until two operators lifted the revocation; a joiner takes nothing from a
controller that the newest deny-list names, nor from one whose list is too old to tell.

Defence: controller/join.py:JoinDesk._judge (the denials on disk) and worker/joining.py:accept_grant (the list in the
answer); removed, revocation lasts until somebody is talked into one more token.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from mohawk.host.revocations import Revocations
from mohawk.identity.names import IdentityRefusedError, Reason
from mohawk.worker.joining import join
from tests.support.joining import JoinSite, ask
from tests.support.nodes import run
from tests.support.tls import utc_now

W1 = "spiffe://mesh.example/worker/w1"


@pytest.fixture
def site(tmp_path: Path) -> JoinSite:
    return JoinSite(tmp_path / "pki")


def test_a_denied_name_cannot_join(site: JoinSite) -> None:
    async def main() -> None:
        async with site.open():
            token = site.token()
            Revocations(site.authority).deny(W1, "stolen", utc_now())  # this very second: no list was issued yet
            assert await ask(token) == b""
            Revocations(site.authority).lift(W1)
            site.tell_revocations()
            await join(token, utc_now())  # the refused attempt did not use it up

    run(main)
    assert site.refusals == ["revoked_name"]
    assert site.names == ["w1"]


def test_a_denied_neighbour_changes_nothing(site: JoinSite) -> None:
    async def main() -> None:
        Revocations(site.authority).deny("spiffe://mesh.example/worker/w10", "stolen", utc_now())
        async with site.open():
            await join(site.token(), utc_now())

    run(main)
    assert site.names == ["w1"]


def test_a_joiner_takes_nothing_from_a_revoked_controller(site: JoinSite) -> None:
    async def main() -> None:
        async with site.open():
            token = site.token()
            Revocations(site.authority).deny("spiffe://mesh.example/controller/c1", "stolen", utc_now())
            site.tell_revocations()
            with pytest.raises(IdentityRefusedError) as refusal:
                await join(token, utc_now())
            assert refusal.value.reason is Reason.REVOKED

    run(main)


def test_a_joiner_takes_nothing_without_a_fresh_list(site: JoinSite) -> None:
    """A stolen controller that kept the last list which does not name it."""
    old = Revocations(site.authority).issue(utc_now() - timedelta(minutes=11))

    async def main() -> None:
        async with site.open():
            site.context.standing.deny_envelope = old
            with pytest.raises(IdentityRefusedError) as refusal:
                await join(site.token(), utc_now())
            assert refusal.value.reason is Reason.STALE

    run(main)
