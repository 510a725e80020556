"""A stage made of several sealed slices is the stage that one slice of the same layers would be, to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from mohawk.errors import ArtifactError
from mohawk.host.memory import Memory, SecretBytes
from mohawk.host.sealed_folder import SealedFolder, slice_path
from mohawk.host.slice_store import SliceState, SliceStore
from mohawk.model.stage import Segment, Stage
from mohawk.nouns.model import LayerRange
from mohawk.worker import loader
from mohawk.worker.loader import Assignment, LoadedStage, accept_order, join_tensors, load_stage
from tests.e2e.inside import QUOTA, Site
from tests.support.keys import keys_in_clear
from tests.support.models import build_model
from tests.support.orders import hold, make_order
from tests.support.turns import at_once

LAYERS = 4
MIDDLE = LayerRange(1, 2)


@dataclass
class Desk:
    """One model, sealed in `slices`, in a worker's store; `load` as that worker does."""

    site: Site
    folder: SealedFolder
    store: SliceStore

    def accept(self, layers: LayerRange) -> Assignment:
        order = make_order(self.folder.envelope, layers, self.folder.side_files()["config.json"])
        return accept_order(order, self.site.authority.pins(), self.store)

    def keys(self, layers: LayerRange) -> SecretBytes:
        run = self.folder.manifest.find_run(layers)
        return SecretBytes.copy_of(b"".join(keys_in_clear(self.site.provider, self.folder.keyring(), run)[1:]))

    def load(self, layers: LayerRange) -> LoadedStage:
        return load_stage(self.accept(layers), self.keys(layers), self.store, at_once)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site") / "home")


@pytest.fixture
def desk(site: Site, tmp_path: Path) -> Iterator[Desk]:
    """A model whose head is tied to its embedding, one slice per layer."""
    with_store = open_desk(site, tmp_path, LAYERS)
    yield with_store
    with_store.store.close()


def open_desk(site: Site, folder: Path, slices: int) -> Desk:
    source = site.home.parent / "llama_tied"
    if not source.exists():
        build_model(source, "llama_tied", layers=LAYERS)
    sealed = site.seal(source, slices)
    store = SliceStore(folder / f"store-{slices}", QUOTA)
    for part in sealed.manifest.slices:
        hold(store, part, slice_path(sealed.folder, part.slice_id).read_bytes())
    return Desk(site, sealed, store)


def compute(stage: Stage) -> torch.Tensor:
    """One pass of three tokens."""
    stage.reserve(1, 8)
    rows = (
        [5, 6, 7] if stage.is_first else torch.randn(3, stage.hidden_size, generator=torch.Generator().manual_seed(3))
    )
    return stage.run((Segment(1, 0, 3),), rows, (2,) if stage.is_last else ())


@pytest.mark.parametrize("layers", [LayerRange(0, 1), MIDDLE, LayerRange(2, 3), LayerRange(0, 3)])
def test_a_run_of_slices_computes_what_one_slice_computes(site: Site, desk: Desk, tmp_path: Path, layers: LayerRange):
    """Also where the stage has all layers, so that the embedding comes twice: with the first and with the last."""
    whole = open_desk(site, tmp_path, 1)
    everything = whole.load(LayerRange(0, LAYERS - 1)).stage.parameters()
    loaded = desk.load(layers)
    kept = {name: value for name, value in loaded.stage.parameters().items() if ".layers." in name}
    assert len(kept) >= 8 * len(layers)
    for name, value in kept.items():
        number = int(name.split(".layers.")[1].split(".")[0])
        there = name.replace(f".layers.{number}.", f".layers.{number + layers.first}.")
        assert torch.equal(value, everything[there])
    if layers == LayerRange(0, LAYERS - 1):
        assert torch.equal(compute(loaded.stage), compute(whole.load(layers).stage))
    assert loaded.ready.run_id == layers.slice_id
    assert loaded.ready.weight_bytes == sum(len(memory.view) for memory in loaded.memories)
    assert len(loaded.memories) == len(layers)
    loaded.release()
    assert not any(any(memory.view) for memory in loaded.memories)
    assert not any(value.any() for value in loaded.stage.parameters().values())
    whole.store.close()


def test_an_order_for_layers_between_the_slices_is_refused(site: Site, tmp_path: Path):
    two = open_desk(site, tmp_path, 2)
    for layers in (LayerRange(0, 0), MIDDLE, LayerRange(0, 2), LayerRange(0, 4)):
        with pytest.raises(ArtifactError):
            two.accept(layers)
    two.store.close()


def test_one_broken_slice_is_set_aside_alone_and_what_was_opened_is_overwritten(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    opened: list[Memory] = []
    allocate = loader.allocate

    def note(size: int) -> Memory:
        opened.append(allocate(size))
        return opened[-1]

    monkeypatch.setattr(loader, "allocate", note)
    first, second = desk.folder.manifest.find_run(MIDDLE)
    assignment, keys = desk.accept(MIDDLE), desk.keys(MIDDLE)
    path = desk.store.path(second)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(ArtifactError):
        load_stage(assignment, keys, desk.store, at_once)
    states = {entry.digest: entry.state for entry in desk.store.list()}
    assert states[second.digest] is SliceState.QUARANTINED
    assert states[first.digest] is SliceState.COMPLETE
    assert [len(memory.view) for memory in opened] == [part.context.plaintext_bytes for part in (first, second)]
    assert not any(any(memory.view) for memory in opened)
    with pytest.raises(Exception, match="given back"):
        _ = keys.view


def test_keys_in_another_order_open_nothing(desk: Desk):
    swapped = desk.keys(MIDDLE)
    one, other = bytes(swapped.view[:32]), bytes(swapped.view[32:])
    with pytest.raises(ArtifactError):
        load_stage(desk.accept(MIDDLE), SecretBytes.copy_of(other + one), desk.store, at_once)


def test_two_slices_with_one_tensor_are_no_stage(desk: Desk):
    """Which of the two would count? A tied head alone may come twice."""
    memory = desk.load(MIDDLE).memories[0]
    with pytest.raises(ArtifactError, match="one tensor"):
        join_tensors([loader.view_tensors(memory.view), loader.view_tensors(memory.view)], "llama")
