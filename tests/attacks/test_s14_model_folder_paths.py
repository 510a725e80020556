"""S14 (model folder): `../` or an absolute path in the shard index, symbolic links, devices and pipes in place of
files.

Expected: refused with ArtifactError; nothing outside the folder is opened, nothing blocks.
Defence: mohawk/checkpoint/folder.py:check_plain_name (paths) and _check_regular with O_NOFOLLOW (links, devices,
pipes); removed, the index reads `../secret.safetensors`, a link does the same, and a pipe stops the reader for ever.
A hard link passes on purpose: package managers install files that way, and it leads nowhere but to itself.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mohawk.checkpoint.reader import read_card
from mohawk.errors import ArtifactError
from tests.support.folders import SHAPES, tensors_bytes, write_folder, write_index


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "name",
    [
        "../secret.safetensors",
        "sub/../../secret.safetensors",
        "ABSOLUTE",
        "..",
        ".hidden.safetensors",
        "a\x00.safetensors",
        "a\n.safetensors",
        "~/x.safetensors",
        "-.safetensors",
        "",
        None,
        7,
    ],
)
def test_the_index_names_plain_files_only(tmp_path: Path, name: object):
    secret = tmp_path / "secret.safetensors"
    secret.write_bytes(tensors_bytes(SHAPES))
    folder = write_folder(tmp_path / "m", shards=2)
    write_index(folder, dict.fromkeys(SHAPES, str(secret) if name == "ABSOLUTE" else name))

    with pytest.raises(ArtifactError):
        read_card(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"])
def test_a_symbolic_link_is_refused_with_a_hint(tmp_path: Path, name: str):
    folder = write_folder(tmp_path / "m")
    outside = tmp_path / "outside"
    (folder / name).rename(outside)
    (folder / name).symlink_to(outside)

    with pytest.raises(ArtifactError, match="symbolic link") as caught:
        read_card(folder)
    assert "cp -rL" in caught.value.hint


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "device link"])
def test_something_other_than_a_file_is_refused_without_blocking(tmp_path: Path, name: str, kind: str):
    folder = write_folder(tmp_path / "m")
    (folder / name).unlink()
    if kind == "pipe":
        os.mkfifo(folder / name)
    elif kind == "folder":
        (folder / name).mkdir()
    else:
        (folder / name).symlink_to("/dev/zero")

    with pytest.raises(ArtifactError):
        read_card(folder)


def test_a_link_put_in_place_of_a_shard_after_reading_is_refused(tmp_path: Path):
    from mohawk.checkpoint.slicer import SliceSource
    from mohawk.nouns.model import LayerRange

    folder = write_folder(tmp_path / "m")
    card = read_card(folder)
    source = SliceSource(folder, card, LayerRange(0, 1))
    (folder / "model.safetensors").rename(tmp_path / "outside")
    (folder / "model.safetensors").symlink_to(tmp_path / "outside")

    with pytest.raises(ArtifactError):
        list(source.chunks(1 << 16))


def test_a_hard_link_is_a_file(tmp_path: Path):
    folder = write_folder(tmp_path / "m")
    os.link(folder / "model.safetensors", tmp_path / "other-name")

    assert read_card(folder).layers == json.loads((folder / "config.json").read_text())["num_hidden_layers"]
