"""C05: tokenizer.json (or another side file) swapped for another valid one after the publisher signed the model.

Expected: ArtifactError from the manifest's digest; the other tokenizer is never built.
Defence: mohawk/artifact/trust.py:check_side_file; removed, a tokenizer that maps the same words to other ids is accepted,
and the model answers another question than the one asked.
Defence: mohawk/worker/receiving.py:IncomingFile.append; removed, the last worker follows grammars over the words of another
tokenizer, and what it lets pass is not what was asked for.
Defence: mohawk/host/sealed_folder.py:SealedFolder.side_files and mohawk/worker/loader.py:accept_order, which ask it;
removed, a controller serves with the tokenizer that lies in its folder, and a worker builds its stage from the config, or
goes by the tokenizer of another model, that whoever connected sent along.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from mohawk.artifact.manifest import Manifest, SideFile
from mohawk.artifact.sealed_slice import SealedSlice, SealingContext
from mohawk.artifact.trust import check_side_file
from mohawk.checkpoint.reader import read_card, read_side_files
from mohawk.checkpoint.tokenizer import Tokenizer
from mohawk.contract.messages import SliceChunk
from mohawk.controller.service import Controller
from mohawk.crypto.signing import PublisherKey
from mohawk.errors import ArtifactError, MessageError
from mohawk.host.sealed_folder import SealedFolder
from mohawk.host.slice_store import SliceStore
from mohawk.identity.names import Role
from mohawk.nouns.model import LayerRange
from mohawk.transport.dial import Target
from mohawk.worker.loader import accept_order
from mohawk.worker.receiving import IncomingFile
from tests.e2e.inside import Site
from tests.support.folders import write_folder
from tests.support.orders import stock


def sign_folder(folder: Path) -> Manifest:
    """What a publisher would sign for `folder`; the slice's own numbers do not matter here."""
    card = read_card(folder)
    layers = LayerRange(0, card.layers - 1)
    context = SealingContext(card.model_id, card.revision, 1, layers, card.dtype, card.weight_bytes, "0" * 32)
    files = tuple(
        SideFile(name, len(data), hashlib.sha256(data).hexdigest())
        for name, data in sorted(read_side_files(folder).items())
    )
    return Manifest(
        model_id=card.model_id,
        revision=card.revision,
        version=1,
        family=card.family,
        layers=card.layers,
        dtype=card.dtype,
        slices=(SealedSlice(context, "0" * 64),),
        files=files,
    )


def swap_two_words(tokenizer: bytes) -> bytes:
    """A tokenizer as valid as the first, in which two tokens have changed their ids."""
    document = json.loads(tokenizer)
    vocabulary = document["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    return json.dumps(document).encode()


def test_a_swapped_tokenizer_fails_its_digest(tmp_path: Path):
    folder = write_folder(tmp_path / "m")
    manifest = sign_folder(folder)
    sides = read_side_files(folder)
    swapped = swap_two_words(sides["tokenizer.json"])
    assert Tokenizer(sides | {"tokenizer.json": swapped}, 512, 64).encode("a") != Tokenizer(sides, 512, 64).encode("a")

    for name, data in sides.items():
        check_side_file(manifest, name, data)
    with pytest.raises(ArtifactError):
        check_side_file(manifest, "tokenizer.json", swapped)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "chat_template.jinja"])
def test_so_does_every_other_side_file(tmp_path: Path, name: str):
    folder = write_folder(tmp_path / "m")
    manifest = sign_folder(folder)

    with pytest.raises(ArtifactError):
        check_side_file(manifest, name, read_side_files(folder)[name] + b" ")


def test_a_side_file_that_was_not_there_cannot_be_added(tmp_path: Path):
    manifest = sign_folder(write_folder(tmp_path / "m"))

    with pytest.raises(ArtifactError):
        check_side_file(manifest, "generation_config.json", b"{}")


def test_a_controller_does_not_start_with_a_swapped_tokenizer(tmp_path: Path):
    site = Site(tmp_path / "home")
    sealed = site.seal(write_folder(tmp_path / "m"), 1)
    path = sealed.folder / "tokenizer.json"
    signed = path.read_bytes()
    document = json.loads(swap_two_words(signed))
    swapped = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    assert len(swapped) <= len(signed), "its size alone would give it away"
    path.write_bytes(swapped.ljust(len(signed)))

    again = SealedFolder.open(sealed.folder, site.authority.pins())
    with pytest.raises(ArtifactError, match="side file"):
        again.side_files()
    with pytest.raises(ArtifactError, match="side file"):
        Controller(site.options(again, (Target("127.0.0.1", 1, Role.WORKER, "w1"),)))


def test_a_worker_does_not_take_another_config_with_its_order(tmp_path: Path):
    publisher = PublisherKey.generate()
    store = SliceStore(tmp_path / "store", 1 << 20)
    order = stock(store, publisher, 1, tmp_path / "sealed")
    other = order.config.replace(b"llama", b"qwen3")
    assert len(other) == len(order.config)

    with pytest.raises(ArtifactError, match="side file"):
        accept_order(replace(order, config=other), publisher.pins(), store)
    assert store.seen_versions() == {}, "a refused order leaves no mark"
    assert accept_order(order, publisher.pins(), store).order is order
    with pytest.raises(ArtifactError, match="side file"):
        accept_order(order, publisher.pins(), store, b"of another model")
    store.close()


def test_a_worker_takes_no_other_tokenizer_into_its_memory():
    content = b"a tokenizer, as signed"
    file = SideFile("tokenizer.json", len(content), hashlib.sha256(content).hexdigest())

    def arrive(pieces: list[bytes], *, digest: str = file.digest, begin: int = 0) -> bytes | None:
        incoming, offset, whole = IncomingFile(file), begin, None
        for piece in pieces:
            whole = incoming.append(SliceChunk(digest, offset), bytearray(piece))
            offset += len(piece)
        return whole

    assert arrive([content]) == arrive([content[:5], content[5:]]) == content
    assert arrive([content[:-1]]) is None
    with pytest.raises(ArtifactError, match="side file"):
        arrive([content.replace(b"signed", b"forged")])
    for pieces in ([content + b"x"], [content[:5], content]):
        with pytest.raises(MessageError):
            arrive(pieces)
    with pytest.raises(MessageError):
        arrive([content], digest="0" * 64)
    with pytest.raises(MessageError):
        arrive([content], begin=1)
