"""S18, in memory: a stage computes in another type than its weights are stored in, so that its parameters are copies
beside the opened slice; its controller leaves.

Expected: parameters, keys and values are zero, and so is the opened slice, before another controller may connect.
Defence: worker/loader.py:LoadedStage.release (model/stage.py:Stage.overwrite, model/kv_pool.py:KVPool.overwrite and
host/memory.py:Memory.release); removed, a worker without a controller holds the model, and the last prompts' keys and
values, in clear for whoever reads its memory later.
"""

from __future__ import annotations

from pathlib import Path

from mohawk.contract.steps import Opening, StagePart
from mohawk.host.memory import SecretBytes
from mohawk.host.sealed_folder import slice_path
from mohawk.host.slice_store import SliceStore
from mohawk.nouns.segment import Segment
from mohawk.worker.loader import accept_order
from mohawk.worker.station import Station
from tests.e2e.inside import GREEDY, QUOTA, Site
from tests.support.keys import keys_in_clear
from tests.support.models import build_model
from tests.support.nodes import run
from tests.support.orders import hold, make_order


def test_nothing_of_a_dropped_stage_is_left(tmp_path: Path) -> None:
    site = Site(tmp_path / "home")
    folder = site.seal(build_model(tmp_path / "m", "llama", dtype="bfloat16", layers=2), 1)
    (part,) = folder.manifest.slices
    data_key = SecretBytes.copy_of(keys_in_clear(site.provider, folder.keyring(), folder.manifest.slices)[1])
    store = SliceStore(site.home / "store", QUOTA)
    hold(store, part, slice_path(folder.folder, part.slice_id).read_bytes())
    order = make_order(folder.envelope, part.context.layers, folder.side_files()["config.json"])

    async def main() -> None:
        station = Station(store)
        await station.load(accept_order(order, site.authority.pins(), store), data_key)
        prompt = StagePart((Segment(1, 0, 3, sample=True),), token_ids=(5, 6, 7), openings=(Opening(1, 16, GREEDY),))
        await station.run(prompt, bytearray())
        assert station._post is not None
        loaded = station._post.loaded
        stage, opened = loaded.stage, loaded.memories[0].view
        parameters, pool = list(stage.parameters().values()), [*stage._pool.keys, *stage._pool.values]
        assert len(parameters) > 10
        assert all(tensor.element_size() == 4 for tensor in parameters), "copies: the slice holds two bytes each"
        assert all(tensor.any() for tensor in (*parameters, *pool))
        assert any(opened)

        await station.drop()
        assert not any(tensor.any() for tensor in parameters)
        assert not any(tensor.any() for tensor in pool)
        assert not any(opened)
        await station.close()

    run(main, seconds=60)
    store.close()
