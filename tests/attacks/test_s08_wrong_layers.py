"""S08: a manifest whose slices leave a layer out, hold one twice, or hold more than the model has; correctly signed.

Expected: refused before any slice is fetched.

Defence: artifact/manifest.py:Manifest.__post_init__ (check_partition); removed, a chain is built that skips or
repeats layers and still answers.
"""

from __future__ import annotations

import json

import pytest

from mohawk.artifact.envelope import sign_envelope
from mohawk.artifact.trust import accept_manifest
from mohawk.crypto import canonical
from mohawk.crypto.signing import PublisherKey
from mohawk.errors import ArtifactError, RemoteError
from tests.support.slices import make_manifest

PUBLISHER = PublisherKey.generate()


def accept(slices: list[str], layers: int = 8) -> None:
    document = json.loads(make_manifest(((0, 3), (4, 5), (6, 7))).encode())
    entries = document["slices"] + [{**document["slices"][0], "digest": "00" * 32, "key": "00" * 16}]
    document["slices"] = [{**entry, "slice": name} for entry, name in zip(entries, slices, strict=False)]
    document["layers"] = layers
    accept_manifest(sign_envelope(canonical.encode(document), PUBLISHER), PUBLISHER.pins(), {})


def test_a_whole_partition_is_accepted() -> None:
    accept(["slice_0_3", "slice_4_5", "slice_6_7"])


@pytest.mark.parametrize(
    "slices",
    [
        ["slice_0_3", "slice_4_7", "slice_8_8"],
        ["slice_0_3", "slice_5_7"],
        ["slice_1_3", "slice_4_7"],
        ["slice_0_3", "slice_4_6"],
        ["slice_0_4", "slice_4_7"],
        ["slice_0_7", "slice_0_7"],
        ["slice_4_7", "slice_0_3"],
        ["slice_0_3", "slice_4_5", "slice_6_7", "slice_6_7"],
        [],
    ],
    ids=["extra", "hole", "no first", "no last", "overlap", "twice", "order", "repeated end", "none"],
)
def test_no_partition(slices: list[str]) -> None:
    with pytest.raises(ArtifactError):
        accept(slices)


@pytest.mark.parametrize("layers", [7, 9, 0, 10**9])
def test_another_number_of_layers(layers: int) -> None:
    with pytest.raises(RemoteError):
        accept(["slice_0_3", "slice_4_5", "slice_6_7"], layers)
