"""Z02: worker A asks for the keys of B's slices: of those alone, of all, of its own in another order.

Expected: refused by policy, on record, and no grant is sent; the honest question gets its keys.

Defence: controller/keys.py:KeyRelease._judge; removed, the worker that asked for another's keys is told nothing, nobody
hears of it, and a grant leaves.
"""

from __future__ import annotations

import pytest

from mohawk.audit.events import EventKind
from mohawk.contract.messages import Heartbeat, HeartbeatReply, KeyGrant, KeyRequest, LoadStage, StageReady, WorkerState
from mohawk.controller.keys import KeyRelease
from mohawk.controller.member import Member
from mohawk.crypto.seal import RecipientKey
from mohawk.errors import PolicyError
from mohawk.host.keys import open_model_key
from mohawk.host.sealed_folder import SealedFolder
from mohawk.identity.names import Role
from mohawk.nouns.model import LayerRange
from mohawk.transport.dial import Target
from mohawk.transport.link import Link
from tests.e2e.inside import Site
from tests.support.approvals import open_attestation
from tests.support.audit import Heard
from tests.support.models import build_model
from tests.support.nodes import Recorder, run, serving
from tests.support.orders import make_order
from tests.support.stage import Answers

OWN = LayerRange(0, 1)
LAYERS = 4


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site") / "home")


@pytest.fixture(scope="module")
def folder(site: Site, tmp_path_factory: pytest.TempPathFactory) -> SealedFolder:
    return site.seal(build_model(tmp_path_factory.mktemp("models") / "tiny", "llama", layers=LAYERS), LAYERS)


@pytest.mark.parametrize("asked", [(2, 3), (0,), (0, 1, 2), (0, 1, 2, 3), (1, 0), (0, 1)])
def test_a_worker_that_asks_for_what_is_not_its_own(site: Site, folder: SealedFolder, asked: tuple[int, ...]) -> None:
    heard = Heard()
    request = KeyRequest(
        tuple(folder.manifest.slices[number].digest for number in asked), RecipientKey.generate().public_bytes()
    )

    def answer(link: Link, message: object, _body: bytearray) -> None:
        """A worker with a certificate of its own, and a will of its own."""
        if isinstance(message, Heartbeat):
            link.send(HeartbeatReply(message.number, WorkerState.LOADING, 0))
        elif isinstance(message, LoadStage):
            link.send(request)
        elif isinstance(message, KeyGrant):
            link.send(StageReady(OWN.slice_id, 0, 0, 0, 0, 0, 0))

    async def ask(worker: Recorder) -> None:
        async with serving(site.context(Role.WORKER, "w1"), worker) as listener:
            target = Target("127.0.0.1", listener.port, Role.WORKER, "w1")
            member = await Member.connect(site.context(Role.CONTROLLER, "controller"), target, Answers())
            with open_model_key(site.provider, folder.keyring()) as model_key:
                keys = KeyRelease(
                    folder.keyring(), model_key, folder.envelope, open_attestation(site.authority), heard.record
                )
                order = make_order(folder.envelope, OWN, folder.side_files()["config.json"])
                try:
                    await member.load(order, folder.manifest.find_run(OWN), keys)
                finally:
                    await member.close()

    worker = Recorder(answer)
    if asked == (0, 1):
        run(ask(worker))
    else:
        with pytest.raises(PolicyError, match="does not give it"):
            run(ask(worker))
    granted = [message for message, _ in worker.messages if isinstance(message, KeyGrant)]
    assert len(granted) == (asked == (0, 1))
    (event,) = (event for event in heard.events if event.kind in (EventKind.KEY_RELEASED, EventKind.KEY_REFUSED))
    assert event.kind is (EventKind.KEY_RELEASED if granted else EventKind.KEY_REFUSED)
    assert event.details["run"] == OWN.slice_id
