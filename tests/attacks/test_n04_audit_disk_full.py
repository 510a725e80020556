"""N04: the disk of the audit log is full, or fails, while somebody asks for what must be on record.

Expected: the action is refused (no key leaves, no certificate is renewed or taken up, no revocation is lifted, no node
starts), the log stays readable, and it goes on when there is room again. Taking trust back is not refused: it waits for
no disk.

Defence: controller/keys.py:KeyRelease.grant (recorded before it is returned); removed, filling a disk makes key releases
invisible.
Defence: host/audit_file.py:AuditFile._take_back; removed, half a line makes the rest of the log unreadable.
Defence: host/audit_file.py:AuditFile._write (nothing after a failed sync); removed, a later sync seems to succeed without
the entries that the kernel dropped.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from mohawk.artifact.keyring import Keyring, wrap_data_key
from mohawk.audit.chain import parse_entry, verify
from mohawk.audit.events import EventKind, RecordEvent
from mohawk.channel.profile import NodeContext
from mohawk.contract.messages import Purpose
from mohawk.contract.operating import ApproveChange, ProposeChange
from mohawk.contract.trust import RenewalGrant, RenewalRequest, TrustUpdate
from mohawk.controller.changes import ChangeDesk
from mohawk.controller.keys import KeyRelease
from mohawk.controller.service import Controller
from mohawk.controller.trust import TrustKeeper
from mohawk.crypto.certificate_request import make_request, parse_request
from mohawk.crypto.primitives import KEY_SIZE
from mohawk.crypto.signing import SigningKey
from mohawk.errors import HostError
from mohawk.host import audit_file
from mohawk.host.audit_file import AuditFile, read_head, read_lines
from mohawk.host.audit_trail import AuditTrail
from mohawk.host.change_file import ChangeFile
from mohawk.host.files import open_regular
from mohawk.host.memory import SecretBytes
from mohawk.host.revocations import Revocations
from mohawk.identity.changes import ChangeKind
from mohawk.identity.names import NodeName, Role
from mohawk.transport.dial import dial
from mohawk.worker.grant import KeyExchange
from mohawk.worker.trust import WorkerTrust
from tests.e2e.inside import Site
from tests.support.approvals import AnyMachine, approve
from tests.support.audit import Heard
from tests.support.disks import files_limited_to, run_on_a_small_disk
from tests.support.logs import NODE, NOW, WORKER, make_event
from tests.support.models import build_model
from tests.support.nodes import run
from tests.support.slices import DATA_KEY, make_manifest
from tests.support.tickets import make_session
from tests.support.tls import Mesh, utc_now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def full(path: Path) -> RecordEvent:
    """`record` of a log whose next entry no longer fits."""
    file = AuditFile(path, NODE, NOW)
    file.append([make_event()], NOW)

    def record(event: object) -> None:
        with files_limited_to(path.stat().st_size + 10):
            file.append([event], NOW)  # type: ignore[list-item]

    return record


def count(path: Path) -> int:
    """Entries of a log that verifies."""
    with open_regular(path) as descriptor:
        return verify(read_lines(descriptor), read_head(path)).count


def test_no_key_is_released(path: Path, full: RecordEvent) -> None:
    part, model_key = make_manifest().slices[0], b"m" * KEY_SIZE
    keyring = Keyring("key-file", b"wrapped", (wrap_data_key(model_key, DATA_KEY, part.context, bytes(32)),))
    keys = KeyRelease(keyring, SecretBytes.copy_of(model_key), b"an envelope", AnyMachine(), full)  # type: ignore[arg-type]
    exchange = KeyExchange(worker=WORKER, manifest=b"an envelope", slice_digests=(part.digest,), binding=b"b" * 32)
    session = make_session(WORKER, exporter=lambda _c, _l: b"b" * 32, sign=SigningKey.generate().sign)
    approval = approve(session.peer.name, exchange.request.public_key)
    with pytest.raises(HostError, match="writing the audit log failed"):
        keys.grant(exchange.request, session, (part,), approval)
    assert count(path) == 1
    assert replace(keys, record=Heard().record).grant(exchange.request, session, (part,), approval)


def test_a_controller_does_not_come_up(tmp_path: Path, full: RecordEvent) -> None:
    """And its worker holds nothing: the next controller finds it empty."""
    site = Site(tmp_path / "home")
    folder = site.seal(build_model(tmp_path / "tiny", "llama"), 1)

    async def main() -> None:
        async with site.workers(1) as targets:
            controller = Controller(replace(site.options(folder, targets), record=full))
            with pytest.raises(HostError, match="writing the audit log failed"):
                await controller.start(lambda what, done, total: None)
            await controller.stop()
            link = await dial(site.context(Role.CONTROLLER, "next"), targets[0], Purpose.CONTROL)
            await link.cut()

    run(main, seconds=60)


def make_keeper(site: Site, record: RecordEvent, tell: Callable[[TrustUpdate], None], heard: Heard) -> TrustKeeper:
    async def reconnect() -> None:
        pytest.fail("nothing was renewed")

    return TrustKeeper(site.authority, site.context(Role.CONTROLLER, "c1"), record, heard.note, tell, reconnect)


def test_no_certificate_is_renewed(tmp_path: Path, full: RecordEvent) -> None:
    site = Site(tmp_path / "home")
    keeper = make_keeper(site, full, lambda _update: None, Heard())
    peer = site.credentials(Role.WORKER, "w1").check(utc_now())
    request = RenewalRequest(make_request(SigningKey.generate()))
    assert keeper.renew(peer, request) is None, "and the connection goes on"


def test_a_revocation_is_passed_on_all_the_same(tmp_path: Path, full: RecordEvent) -> None:
    site, heard, told = Site(tmp_path / "home"), Heard(), []
    keeper = make_keeper(site, full, told.append, heard)
    Revocations(site.authority).deny(WORKER, "stolen", utc_now())
    keeper.refresh(utc_now())
    assert told[0].deny_list
    assert [event.subject for event in heard.of(EventKind.NODE_REVOKED)] == [WORKER], "to be written when there is room"


def test_no_revocation_is_lifted(tmp_path: Path, full: RecordEvent) -> None:
    """Though two operators agree: the second one's word has to be on record first."""
    site = Site(tmp_path / "home")
    file, revocations, now = ChangeFile(site.authority), Revocations(site.authority), utc_now()
    revocations.deny(WORKER, "stolen", now)
    first, second = (NodeName("mesh.example", Role.OPERATOR, name) for name in ("o1", "o2"))
    order = ProposeChange(ChangeKind.LIFT_REVOCATION, WORKER)
    ChangeDesk(file, revocations, {}, Heard().record, Heard().note).propose(first, order, now)
    (change,) = ChangeDesk(file, revocations, {}, full, Heard().note).open_changes(now)
    with pytest.raises(HostError, match="writing the audit log failed"):
        ChangeDesk(file, revocations, {}, full, Heard().note).approve(second, ApproveChange(change.id), now)
    assert [denial.subject for denial in revocations.denials()] == [WORKER]


def test_no_fresh_certificate_is_taken_up(full: RecordEvent) -> None:
    mesh = Mesh()
    context = NodeContext(mesh.credentials(), standing=mesh.standing())
    kept: list[object] = []

    async def renew(record: RecordEvent) -> None:
        sent: list[RenewalRequest] = []
        trust = WorkerTrust(context, kept.append, record)
        trust.on_controller(sent.append)  # type: ignore[arg-type]
        trust.check(utc_now() + timedelta(hours=20))
        trust.on_grant(RenewalGrant(tuple(one.der for one in chain_for(mesh, sent[0]))))
        await trust.close()

    old = context.credentials
    run(renew(full))
    assert (context.credentials, kept) == (old, [])
    heard = Heard()
    run(renew(heard.record))
    assert context.credentials != old
    assert [event.kind for event in heard.events] == [EventKind.LEAF_RENEWED]


def chain_for(mesh: Mesh, request: RenewalRequest) -> tuple[object, ...]:
    from mohawk.identity.certificates import issue_leaf_for

    return issue_leaf_for(mesh.issuing, mesh.name(), parse_request(request.request).spki, utc_now())


@pytest.mark.parametrize("size", [0, 1, 150])
def test_no_node_starts(path: Path, size: int) -> None:
    with pytest.raises(HostError), files_limited_to(size):
        AuditTrail(path, NODE)


def test_a_log_goes_on_when_there_is_room_again(path: Path) -> None:
    file = AuditFile(path, NODE, NOW)
    file.append([make_event(1)], NOW)
    for _ in range(3):
        with pytest.raises(HostError), files_limited_to(path.stat().st_size + 10):
            file.append([make_event(2)], NOW)
        assert count(path) == 1, "no half line"
    file.append([make_event(3)], NOW)
    file.close()
    assert count(path) == 2


@pytest.mark.parametrize("lasting", [False, True])
def test_after_a_failed_sync_nothing_more_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch, lasting: bool
) -> None:
    file = AuditFile(path, NODE, NOW)
    file.append([make_event(1)], NOW)

    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with ExitStack() as patches, closing(file):
        patch = patches.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(audit_file.os, "fsync", fail)
        with pytest.raises(HostError, match="Input/output error"):
            file.append([make_event(2)], NOW)
        if not lasting:
            patch.undo()
        with pytest.raises(HostError, match="takes no more entries"):
            file.append([make_event(3)], NOW)
    assert count(path) == 1
    again = AuditFile(path, NODE, NOW)
    again.append([make_event(4)], NOW)
    again.close()
    with open_regular(path) as descriptor:
        assert [parse_entry(line).event for line in read_lines(descriptor)] == [make_event(1), make_event(4)]


_ON_A_SMALL_DISK = """
import sys
from pathlib import Path
from mohawk.errors import HostError
from mohawk.host import audit_trail
from tests.support.logs import NODE, make_event

disk = Path(sys.argv[1])
filler = disk / "filler"

def fill():
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass

audit_trail.SHORTEST_PAUSE = audit_trail.LONGEST_PAUSE = 0.01
trail = audit_trail.AuditTrail(disk / "audit.jsonl", NODE)
fill()
refused = written = 0
while not refused:
    try:
        trail.record(make_event(written))
        written += 1
    except HostError as error:
        refused = 1
        print(error)
for _ in range(500):
    trail.note(make_event(9999))
filler.unlink()
trail.record(make_event(written))
trail.close()

from mohawk.audit.chain import parse_entry, verify
from mohawk.host.audit_file import read_head, read_lines
from mohawk.host.files import open_regular
with open_regular(disk / "audit.jsonl") as descriptor:
    lines = list(read_lines(descriptor))
verify(lines, read_head(disk / "audit.jsonl"))
events = [parse_entry(line).event for line in lines]
print(sum(int(event.details.get("count", 0)) for event in events))
print([event for event in events if event == make_event(written)] == [make_event(written)])
"""


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    assert run_on_a_small_disk(_ON_A_SMALL_DISK, tmp_path / "disk") == [
        "writing the audit log failed: No space left on device",
        "500",
        "True",
    ]
