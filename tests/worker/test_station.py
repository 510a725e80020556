"""A worker that is given another stage beside the one that it serves: that one serves until a route names the other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mohawk.contract.messages import ElementType, WorkerState
from mohawk.contract.probing import ProbeStage
from mohawk.contract.steps import Opening, StagePart
from mohawk.errors import ArtifactError, MessageError
from mohawk.host.memory import Memory, SecretBytes
from mohawk.host.sealed_folder import SealedFolder, slice_path
from mohawk.host.slice_store import SliceStore
from mohawk.nouns.model import LayerRange, SamplingParameters
from mohawk.nouns.segment import Segment
from mohawk.worker.loader import Assignment, accept_order
from mohawk.worker.station import Station
from tests.e2e.inside import QUOTA, Site
from tests.support.keys import keys_in_clear
from tests.support.models import build_model
from tests.support.nodes import run
from tests.support.orders import hold, make_order

WHOLE, FIRST = LayerRange(0, 3), LayerRange(0, 1)
PART = StagePart(
    segments=(Segment(1, 0, 3, True),), token_ids=(5, 6, 7), openings=(Opening(1, 16, SamplingParameters()),)
)


@dataclass
class Desk:
    """One model of four slices in a worker's store."""

    site: Site
    folder: SealedFolder
    store: SliceStore

    def assignment(self, layers: LayerRange, *, beside: bool = False) -> Assignment:
        order = make_order(self.folder.envelope, layers, self.folder.side_files()["config.json"])
        return accept_order(replace(order, beside=beside), self.site.authority.pins(), self.store)

    def keys(self, layers: LayerRange) -> SecretBytes:
        run_of_slices = self.folder.manifest.find_run(layers)
        clear = keys_in_clear(self.site.provider, self.folder.keyring(), run_of_slices)
        return SecretBytes.copy_of(b"".join(clear[1:]))

    @property
    def probe(self) -> ProbeStage:
        return ProbeStage(self.folder.envelope, self.folder.side_files()["config.json"], ElementType.F32, (2,))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    site = Site(tmp_path / "home")
    folder = site.seal(build_model(tmp_path / "model", "llama", layers=4), 4)
    store = SliceStore(site.home / "store", QUOTA)
    for part in folder.manifest.slices:
        hold(store, part, slice_path(folder.folder, part.slice_id).read_bytes())
    yield Desk(site, folder, store)
    store.close()


def opened(station: Station) -> list[Memory]:
    return [memory for post in station._opened for memory in post.loaded.memories]


async def compute(station: Station, part: StagePart = PART) -> tuple[int, ...]:
    """The tokens of one step; none where the stage is not the last."""
    outcome = await station.run(part, bytearray())
    return tuple(token.token for token in outcome.tokens)


def test_the_old_stage_serves_until_a_route_names_the_new_one(desk: Desk) -> None:
    async def main() -> None:
        station = Station(desk.store)
        await station.load(desk.assignment(WHOLE), desk.keys(WHOLE))
        old = opened(station)
        tokens = await compute(station)
        loading = asyncio.ensure_future(station.load(desk.assignment(FIRST, beside=True), desk.keys(FIRST)))
        probing = asyncio.ensure_future(station.probe(desk.probe))
        again = replace(PART, number=1, closed=(1,))
        assert await compute(station, again) == tokens, "while another is loaded and measured"
        await asyncio.gather(loading, probing)
        assert station.state is WorkerState.READY
        assert await compute(station, again) == tokens
        assert all(any(memory.view) for memory in opened(station))

        with pytest.raises(MessageError, match="does not hold"):
            station.take("slice_2_3")
        assert await compute(station, again) == tokens, "a wrong route changes nothing"
        station.take(FIRST.slice_id)
        new = opened(station)[-2:]
        assert await compute(station) == (), "no head here"
        await station.probe(replace(desk.probe, rows=()))  # behind the overwriting, in the same thread
        assert not any(any(memory.view) for memory in old)
        await station.close()
        assert not any(any(memory.view) for memory in new)

    run(main, seconds=60)


def test_a_route_of_the_old_stage_overwrites_the_one_beside_it(desk: Desk) -> None:
    async def main() -> None:
        station = Station(desk.store)
        await station.load(desk.assignment(WHOLE), desk.keys(WHOLE))
        tokens = await compute(station)
        await station.load(desk.assignment(FIRST, beside=True), desk.keys(FIRST))
        beside = opened(station)[-2:]
        station.take(WHOLE.slice_id)
        assert await compute(station, replace(PART, closed=(1,))) == tokens
        await station.probe(replace(desk.probe, rows=()))
        assert not any(any(memory.view) for memory in beside)
        await station.close()

    run(main, seconds=60)


def test_a_load_that_fails_leaves_the_old_stage(desk: Desk) -> None:
    async def main() -> None:
        station = Station(desk.store)
        await station.load(desk.assignment(WHOLE), desk.keys(WHOLE))
        tokens = await compute(station)
        with pytest.raises(ArtifactError):
            await station.load(desk.assignment(FIRST, beside=True), desk.keys(LayerRange(2, 3)))
        assert await compute(station, replace(PART, closed=(1,))) == tokens
        await station.close()

    run(main, seconds=60)
