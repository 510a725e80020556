"""S18, in memory: a stage computes in bfloat16, with copies of its weights laid out for the processor beside the opened
slice; its controller leaves.

Expected: the copies are zero, like all else, before another controller may connect; and what a worker says that its
weights take includes them.
Defence: model/stage.py:Stage.overwrite (model/linear.py:PackedLinear.overwrite); removed, a worker without a controller
holds the model in clear, in memory that it gives back to its allocator, for whoever reads it later.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mohawk.contract.messages import ElementType
from mohawk.host.memory import SecretBytes
from mohawk.host.sealed_folder import slice_path
from mohawk.host.slice_store import SliceStore
from mohawk.worker.loader import accept_order
from mohawk.worker.station import Station
from tests.e2e.inside import QUOTA, Site
from tests.support.keys import keys_in_clear
from tests.support.models import build_model
from tests.support.nodes import run
from tests.support.orders import hold, make_order

pytestmark = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(),
    reason="needs a processor whose bfloat16 oneDNN multiplies (AVX-512)",
)


def test_nothing_of_the_copies_is_left(tmp_path: Path) -> None:
    site = Site(tmp_path / "home")
    folder = site.seal(build_model(tmp_path / "m", "llama", dtype="bfloat16", layers=2), 1)
    (part,) = folder.manifest.slices
    data_key = SecretBytes.copy_of(keys_in_clear(site.provider, folder.keyring(), folder.manifest.slices)[1])
    store = SliceStore(site.home / "store", QUOTA)
    hold(store, part, slice_path(folder.folder, part.slice_id).read_bytes())
    order = make_order(folder.envelope, part.context.layers, folder.side_files()["config.json"])
    order = replace(order, compute=ElementType.BF16)

    async def main() -> None:
        station = Station(store)
        ready = await station.load(accept_order(order, site.authority.pins(), store), data_key)
        assert station._post is not None
        layers = station._post.loaded.stage.packed()  # held: else their memory would be given back
        copies = [layer.copy for layer in layers]
        assert len(copies) == 2 * 7 + 1
        assert all(any(copy) for copy in copies)
        assert ready.weight_bytes == part.context.plaintext_bytes + sum(len(copy) for copy in copies)

        await station.drop()
        assert not any(any(copy) for copy in copies)
        await station.close()

    run(main, seconds=60)
    store.close()
