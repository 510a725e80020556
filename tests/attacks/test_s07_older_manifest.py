"""S07: offer, or order to load, an older manifest that the right publisher correctly signed.

Expected: refused by version, also after a restart of the worker.

Defence: artifact/trust.py:accept_manifest (version); removed, a model withdrawn for its flaws is served again.
Defence: host/slice_store.py:SliceStore.remember_version; removed, a controller that replays the old manifest lowers
the mark itself.
Defence: worker/loader.py:accept_order (asks for the mark, and raises it) and worker/receiving.py:SliceReceiver (asks
for it); removed, the two above hold and nobody asks them. An order meets both, so that either alone still refuses it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mohawk.artifact.trust import accept_manifest, sign_manifest
from mohawk.channel.profile import NodeContext
from mohawk.contract.messages import KeyRequest, OfferSlice, Purpose, SliceOffset
from mohawk.crypto.signing import PublisherKey
from mohawk.errors import RemoteError, UntrustedArtifactError
from mohawk.host.slice_store import SliceStore
from mohawk.identity.names import Role
from mohawk.transport.dial import Target, dial
from tests.e2e.inside import QUOTA, Site
from tests.support.nodes import run
from tests.support.orders import stock
from tests.support.slices import make_manifest


def test_rollback_is_refused_across_a_restart(tmp_path: Path) -> None:
    publisher = PublisherKey.generate()
    old, new = (sign_manifest(make_manifest(version=version), publisher) for version in (1, 2))

    store = SliceStore(tmp_path, 0)
    for envelope in (old, new):
        manifest = accept_manifest(envelope, publisher.pins(), store.seen_versions())
        store.remember_version(manifest.model_id, manifest.version)
    store.close()

    store = SliceStore(tmp_path, 0)
    with pytest.raises(UntrustedArtifactError, match="older"):
        accept_manifest(old, publisher.pins(), store.seen_versions())
    with pytest.raises(UntrustedArtifactError, match="older"):
        store.remember_version("tiny", 1)
    assert accept_manifest(new, publisher.pins(), store.seen_versions()).version == 2
    store.close()


async def offer(context: NodeContext, target: Target, message: OfferSlice) -> SliceOffset:
    link = await dial(context, target, Purpose.SLICE)
    try:
        return await link.request(message, SliceOffset, 5)
    finally:
        link.close()
        await link.closed


def test_a_worker_takes_neither_the_offer_nor_the_order(tmp_path: Path) -> None:
    """A real worker that holds both versions: only the first order for the new one shuts the old one out."""
    site = Site(tmp_path / "home")
    store = SliceStore(site.home / "stores" / "w1", QUOTA)
    old, new = (stock(store, site.authority.publisher(), version, tmp_path / f"v{version}") for version in (1, 2))
    store.close()
    context = site.context(Role.CONTROLLER, "controller")
    old_offer = OfferSlice(old.manifest, old.run_id)

    async def first_run() -> None:
        async with site.workers(1) as (target,):
            assert (await offer(context, target, old_offer)).complete
            control = await dial(context, target, Purpose.CONTROL)
            for order in (old, new):
                await control.request(order, KeyRequest, 5)
            with pytest.raises(RemoteError, match="older"):
                await control.request(old, KeyRequest, 5)
            control.close()
            await control.closed

    async def after_a_restart() -> None:
        async with site.workers(1) as (target,):
            with pytest.raises(RemoteError, match="older"):
                await offer(context, target, old_offer)
            control = await dial(context, target, Purpose.CONTROL)
            with pytest.raises(RemoteError, match="older"):
                await control.request(old, KeyRequest, 5)
            await control.request(new, KeyRequest, 5)
            control.close()
            await control.closed

    run(first_run)
    run(after_a_restart)
