"""Protects the manifest: valid by construction, small enough for a control frame, nothing in it that could point
elsewhere.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from mohawk.artifact.envelope import MAXIMUM_ENVELOPE
from mohawk.artifact.manifest import SideFile, parse_manifest
from mohawk.artifact.trust import sign_manifest
from mohawk.crypto.signing import PublisherKey
from mohawk.errors import ArtifactError, RemoteError
from mohawk.nouns.model import DataType, LayerRange
from tests.support.slices import make_context, make_manifest


def test_round_trip() -> None:
    manifest = make_manifest()
    assert parse_manifest(manifest.encode()) == manifest


def test_find_slice() -> None:
    manifest = make_manifest()
    assert manifest.find_slice("slice_4_7") is manifest.slices[1]
    with pytest.raises(ArtifactError):
        manifest.find_slice("slice_0_7")


def test_a_run_is_one_or_more_slices_in_a_row_and_nothing_between() -> None:
    manifest = make_manifest(((0, 1), (2, 2), (3, 7)))
    first, second, third = manifest.slices
    assert manifest.find_run(LayerRange(0, 1)) == (first,)
    assert manifest.find_run(LayerRange(0, 2)) == (first, second)
    assert manifest.find_run(LayerRange(2, 7)) == (second, third)
    assert manifest.find_run(LayerRange(0, 7)) == manifest.slices
    for layers in ((0, 0), (0, 3), (1, 2), (1, 7), (4, 7), (4, 5), (0, 8), (8, 9)):
        with pytest.raises(ArtifactError):
            manifest.find_run(LayerRange(*layers))


@pytest.mark.parametrize("name", ["../config.json", "/etc/passwd", "model.py", "config.json\n", "CONFIG.JSON", ""])
def test_only_listed_side_files(name: str) -> None:
    with pytest.raises(ArtifactError):
        SideFile(name, 1, "00" * 32)


def test_side_files_are_required_distinct_and_sorted() -> None:
    manifest = make_manifest()
    config, tokenizer = manifest.files
    for files in ((), (config,), (tokenizer, config), (config, config, tokenizer)):
        with pytest.raises(ArtifactError):
            replace(manifest, files=files)


def test_slices_belong_to_the_manifest() -> None:
    manifest = make_manifest()
    for changes in ({"model_id": "x"}, {"revision": "00" * 32}, {"version": 2}, {"dtype": DataType.FLOAT32}):
        with pytest.raises(ArtifactError):
            replace(manifest, **changes)  # type: ignore[arg-type]


def test_no_data_key_or_digest_twice() -> None:
    manifest = make_manifest()
    first, second = manifest.slices
    same_key = replace(second, context=replace(second.context, key_id=first.context.key_id))
    for parts in ((first, same_key), (first, replace(second, digest=first.digest))):
        with pytest.raises(ArtifactError):
            replace(manifest, slices=parts)


@pytest.mark.parametrize("family", ["", "Llama", "llama\n", "../x", "x" * 65])
def test_family_is_a_plain_name(family: str) -> None:
    with pytest.raises(RemoteError):
        replace(make_manifest(), family=family)


@pytest.mark.parametrize("layers", [0, 4097, 10**9])
def test_layers_are_bounded(layers: int) -> None:
    with pytest.raises(ArtifactError):
        replace(make_manifest(), layers=layers)


def test_200_slices_fit_and_too_many_are_refused_by_the_publisher() -> None:
    key = PublisherKey.generate()
    many = make_manifest(tuple((i, i) for i in range(200)))
    assert len(sign_manifest(many, key)) <= MAXIMUM_ENVELOPE
    with pytest.raises(ArtifactError, match="too large"):
        sign_manifest(make_manifest(tuple((i, i) for i in range(300))), key)
    with pytest.raises(ArtifactError):
        make_manifest(tuple((i, i) for i in range(513)))


def test_unknown_formats_and_fields_are_refused() -> None:
    data = make_manifest().encode()
    for altered in (
        data.replace(b"mohawk-manifest-v1", b"mohawk-manifest-v2"),
        data.replace(b'"family"', b'"famili"'),
        data.replace(b'"layers":8', b'"layers":8,"new":1'),
        data.replace(b'"slice":"slice_0_3"', b'"path":"x","slice":"slice_0_3"'),
    ):
        with pytest.raises(ArtifactError):
            parse_manifest(altered)


def test_contexts_follow_from_the_manifest() -> None:
    assert parse_manifest(make_manifest().encode()).slices[0].context == make_context(0, 3)
