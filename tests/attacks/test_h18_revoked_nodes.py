"""H18: a node is revoked, and goes on as if it had not been: with its open connection, with a new one, with an older
deny-list in its greeting, with a renewed certificate, or while a node's disk is full.

Defence: transport/link.py:Link._recheck (the live connection), identity/standing.py:Standing.judge (a new one) and
:Standing.hear (the older list), controller/trust.py:TrustKeeper.renew (what was entered a moment ago),
identity/standing.py:Standing._tell (everybody is told); removed, a stolen key works until its certificate expires.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from mohawk.audit.events import EventKind
from mohawk.channel.profile import NodeContext
from mohawk.contract.trust import RenewalRequest
from mohawk.controller.trust import TrustKeeper
from mohawk.crypto.certificate_request import make_request
from mohawk.crypto.signing import SigningKey
from mohawk.errors import HostError, IdentityError, MohawkError, UsageError
from mohawk.host.revocations import Revocations
from mohawk.host.standing_file import keep_standing
from mohawk.identity.names import IdentityRefusedError, Reason, Role
from tests.e2e.inside import Site
from tests.support.audit import Heard
from tests.support.disks import files_limited_to
from tests.support.nodes import LOOPS, Recorder, call, run, serving
from tests.support.tls import Mesh, utc_now

THIEF = "spiffe://mesh.example/controller/c1"


@pytest.mark.parametrize("loop", LOOPS)
def test_its_open_connection_is_cut_when_the_list_arrives(loop: str) -> None:
    mesh = Mesh()
    worker = mesh.context(Role.WORKER, "w1")

    async def main() -> tuple[MohawkError | None, Reason]:
        recorder = Recorder()
        async with serving(worker, recorder) as listener:
            link = await call(mesh.controller, listener)
            worker.standing.learn_deny_list(mesh.deny_list(2, THIEF), utc_now())
            await link.closed
            error = recorder.links[0].error
            assert isinstance(error, IdentityRefusedError)
            return link.error, error.reason

    assert run(main, loop)[1] is Reason.REVOKED


def test_it_is_not_let_in_again() -> None:
    mesh = Mesh()
    worker = mesh.context(Role.WORKER, "w1")
    worker.standing.learn_deny_list(mesh.deny_list(2, THIEF), utc_now())

    async def main() -> None:
        async with serving(worker, Recorder()) as listener:
            with pytest.raises(MohawkError):
                await call(mesh.controller, listener)

    run(main)


def test_the_list_in_a_greeting_is_heard_before_its_sender_is_judged() -> None:
    """The worker does not know yet. The thief brings the newest list itself: nothing older than 10 minutes would do."""
    mesh = Mesh()
    worker, thief = mesh.context(Role.WORKER, "w1"), mesh.context(Role.CONTROLLER, "c1")
    thief.standing.learn_deny_list(mesh.deny_list(2, THIEF), utc_now())

    async def main() -> None:
        async with serving(worker, Recorder()) as listener:
            with pytest.raises(MohawkError, match="revoked"):
                await call(thief, listener)

    run(main)


def test_an_older_list_in_a_greeting_changes_nothing() -> None:
    mesh = Mesh()
    worker, thief = mesh.context(Role.WORKER, "w1"), mesh.context(Role.CONTROLLER, "c1")
    worker.standing.learn_deny_list(mesh.deny_list(5, "spiffe://mesh.example/worker/w9"), utc_now())

    async def main() -> None:
        async with serving(worker, Recorder()) as listener:
            await call(thief, listener)
            await asyncio.sleep(0)

    run(main)
    assert worker.standing.deny_list_number == 5
    with pytest.raises(IdentityError, match="older"):
        worker.standing.learn_deny_list(mesh.deny_list(4), utc_now())


def test_a_dialler_does_not_talk_to_a_revoked_listener() -> None:
    mesh = Mesh()
    worker, controller = mesh.context(Role.WORKER, "w1"), mesh.context(Role.CONTROLLER, "c1")
    controller.standing.learn_deny_list(mesh.deny_list(2, "spiffe://mesh.example/worker/w1"), utc_now())

    async def main() -> int:
        recorder = Recorder()
        async with serving(worker, recorder) as listener:
            with pytest.raises(IdentityRefusedError) as refusal:
                await call(controller, listener)
            assert refusal.value.reason is Reason.REVOKED
        return len(recorder.links)

    assert run(main) == 0  # not even our greeting left


def test_a_revoked_node_gets_no_fresh_certificate(tmp_path: Path) -> None:
    """Renewal is asked over a connection that is cut; should the request come first, it is refused all the same."""
    site = Site(tmp_path / "home")
    heard = Heard()

    async def reconnect() -> None:
        pytest.fail("nothing was renewed")

    keeper = TrustKeeper(
        site.authority, site.context(Role.CONTROLLER, "c1"), heard.record, heard.note, lambda update: None, reconnect
    )
    peer = site.credentials(Role.WORKER, "w1").check(utc_now())
    request = RenewalRequest(make_request(SigningKey.generate()))
    assert keeper.renew(peer, request) is not None
    Revocations(site.authority).deny(str(peer.name), "stolen", utc_now())
    keeper.refresh(utc_now())
    assert keeper.renew(peer, request) is None
    assert [event.kind for event in heard.events][-1] is EventKind.RENEWAL_REFUSED


def test_a_denied_certificate_does_not_come_back_under_another_serial(tmp_path: Path) -> None:
    """Asked for in the second between the operator's command and the next list."""
    site, heard = Site(tmp_path / "home"), Heard()

    async def reconnect() -> None:
        pytest.fail("nothing was renewed")

    context = site.context(Role.CONTROLLER, "c1")
    keeper = TrustKeeper(site.authority, context, heard.record, heard.note, lambda update: None, reconnect)
    peer = site.credentials(Role.WORKER, "w1").check(utc_now())
    Revocations(site.authority).deny(f"serial:{peer.serial:x}", "its key was copied", utc_now())
    assert keeper.renew(peer, RenewalRequest(make_request(SigningKey.generate()))) is None
    assert heard.of(EventKind.LEAF_RENEWED) == []


def test_an_authority_that_signs_no_more_certificates_still_takes_trust_back(tmp_path: Path) -> None:
    """An hour before the issuing authority ends it can make no leaf of a day, and the controller's own is due."""
    site, heard, told = Site(tmp_path / "home"), Heard(), []
    late = site.authority.issuing_certificate().not_after - timedelta(hours=1)
    context = NodeContext(site.authority.issue_node(Role.CONTROLLER, "c1", late - timedelta(hours=23)))

    async def nothing() -> None:
        """No chain to put together again."""

    keeper = TrustKeeper(site.authority, context, heard.record, heard.note, told.append, nothing)
    Revocations(site.authority).deny(THIEF, "stolen", late)
    with pytest.raises(UsageError, match="outlive"):
        keeper.refresh(late)
    assert context.standing.deny_list is not None
    assert [denial.subject for denial in context.standing.deny_list.denials] == [THIEF]
    assert told[0].deny_list == context.standing.deny_envelope


def test_a_full_disk_keeps_nobody_from_being_cut(tmp_path: Path) -> None:
    """A node writes the newest list down; that it cannot is said, after all its connections were looked at."""
    mesh = Mesh()
    standing, heard = mesh.standing(), []
    for number in range(8):
        standing.watch(partial(heard.append, number))
    keep_standing(standing, tmp_path / "trust.json", utc_now())
    for number in range(8, 16):
        standing.watch(partial(heard.append, number))
    with pytest.raises(HostError), files_limited_to(10):
        standing.learn_deny_list(mesh.deny_list(2, THIEF), utc_now())
    assert sorted(heard) == list(range(16))
