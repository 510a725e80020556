"""`mohawk model`: look at a model folder, cut it, seal it, verify a sealed one. Needs neither torch nor a running
controller.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mohawk.cli.authority import open_authority
from mohawk.cli.output import human_bytes, print_json, print_table, progress_bars
from mohawk.cli.passwords import PasswordFileOption, PasswordSource
from mohawk.cli.places import Places

if TYPE_CHECKING:
    from mohawk.host.keys import KeyProvider
    from mohawk.nouns.model import ModelCard

app = typer.Typer(help="Inspect, plan, seal and verify models.", no_args_is_help=True)

FolderArgument = Annotated[Path, typer.Argument(help="Hugging Face model folder.")]
SlicesOption = Annotated[int, typer.Option("--slices", "-n", min=1, help="How many slices.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command()
def inspect(folder: FolderArgument, json: JsonOption = False) -> None:
    """Read config and headers: family, layers, sizes, revision. Refuses what could run code."""
    card = _read_card(folder)
    facts = _facts(card)
    if json:
        print_json(facts)
    else:
        print_table("", ("", ""), [(name.replace("_", " "), value) for name, value in facts.items()])


@app.command()
def plan(folder: FolderArgument, slices: SlicesOption = 2, json: JsonOption = False) -> None:
    """Show how the model would be cut, evenly by bytes."""
    from mohawk.checkpoint.slicer import SliceSource
    from mohawk.planning.placement import cut_evenly

    card = _read_card(folder)
    sources = [SliceSource(folder, card, layers) for layers in cut_evenly(card, slices)]
    if json:
        print_json([{"slice": source.layers.slice_id, "bytes": source.size} for source in sources])
        return
    rows = [
        (source.layers.slice_id, len(source.layers), human_bytes(source.size), f"{source.size / card.weight_bytes:.0%}")
        for source in sources
    ]
    print_table("", ("slice", "layers", "size", "of the model"), rows)


@app.command()
def seal(
    folder: FolderArgument,
    out: Annotated[Path, typer.Option(help="Folder to write the sealed model into.")],
    slices: SlicesOption = 2,
    passphrase_file: Annotated[Path | None, typer.Option(help="0600 file with a passphrase (scrypt).")] = None,
    pki: Annotated[Path | None, typer.Option(help="Authority folder that holds the publisher key.")] = None,
    password_file: PasswordFileOption = None,
    json: JsonOption = False,
) -> None:
    """Cut, encrypt and sign a model. Without a passphrase file, a random key file apart from the slices protects it."""
    from mohawk.host.memory import harden_process
    from mohawk.planning.placement import cut_evenly
    from mohawk.publisher.sealing import Publication, seal_model
    from mohawk.publisher.versions import assign_version

    harden_process()
    places = Places.load()
    authority = open_authority(pki, PasswordSource(password_file))
    publisher = authority.publisher()
    card = _read_card(folder)
    provider = choose_provider(passphrase_file, places)
    version = assign_version(authority.versions, card.model_id, card.revision)
    with progress_bars() as report:
        publication = Publication(folder, card, version, publisher, provider)
        manifest = seal_model(
            publication, cut_evenly(card, slices), out, lambda done, total: report("sealing", done, total)
        )
    rows = [(part.slice_id, human_bytes(part.sealed_bytes), part.digest) for part in manifest.slices]
    if json:
        print_json({"folder": str(out), "version": version, "slices": [part.digest for part in manifest.slices]})
        return
    print_table(f"{card.model_id} version {version} in {out}", ("slice", "sealed", "sha-256"), rows)
    typer.echo(f"key provider {provider.name}: {provider.describe()}")


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="Sealed model folder.")],
    passphrase_file: Annotated[Path | None, typer.Option(help="0600 file with the passphrase.")] = None,
    pki: Annotated[Path | None, typer.Option(help="Authority folder whose publisher is believed.")] = None,
    json: JsonOption = False,
) -> None:
    """Check signature, side files, and that every slice opens under its key with the signed digest."""
    from mohawk.host.authority import AuthorityFolder
    from mohawk.host.memory import allocate, harden_process
    from mohawk.host.sealed_folder import SealedFolder, slice_path
    from mohawk.host.slice_file import open_slice

    harden_process()
    places = Places.load()
    sealed = SealedFolder.open(folder, AuthorityFolder(pki or places.pki).pins())
    sealed.side_files()
    keyring = sealed.keyring()
    model_key = open_provider(passphrase_file, places, keyring.provider).unwrap(keyring.model_key)
    with progress_bars() as report:
        done, total = 0, sum(part.context.plaintext_bytes for part in sealed.manifest.slices)
        for part in sealed.manifest.slices:
            memory = allocate(part.context.plaintext_bytes)
            open_slice(slice_path(folder, part.slice_id), part, keyring.unwrap(model_key, part.context), memory.view)
            memory.release()
            done += part.context.plaintext_bytes
            report("opening", done, total)
    manifest = sealed.manifest
    if json:
        print_json({"model": manifest.model_id, "version": manifest.version, "slices": len(manifest.slices)})
    else:
        typer.echo(
            f"{manifest.model_id} version {manifest.version}: "
            f"signature, side files and all {len(manifest.slices)} slices verify"
        )


def open_provider(passphrase_file: Path | None, places: Places, wanted: str) -> KeyProvider:
    """The provider `wanted`, by which a model was sealed. Raises UsageError when only the other kind is given."""
    from mohawk.errors import UsageError
    from mohawk.host.keys import KeyFile, PassphraseFile

    provider: KeyProvider = PassphraseFile(passphrase_file) if passphrase_file else KeyFile(places.model_key)
    if wanted != provider.name:
        raise UsageError(f"this model's key is kept by: {wanted}", hint="see --passphrase-file")
    return provider


def choose_provider(passphrase_file: Path | None, places: Places) -> KeyProvider:
    """For sealing: a passphrase where one is given, else this user's key file, made on first use."""
    from mohawk.host.files import make_private_folder
    from mohawk.host.keys import KeyFile, PassphraseFile

    if passphrase_file is not None:
        return PassphraseFile(passphrase_file)
    if places.model_key.exists():
        return KeyFile(places.model_key)
    make_private_folder(places.model_key.parent)
    return KeyFile.create(places.model_key)


def _read_card(folder: Path) -> ModelCard:
    from mohawk.checkpoint.reader import read_card

    with progress_bars() as report:
        return read_card(folder, progress=lambda done, total: report("reading", done, total))


def _facts(card: ModelCard) -> dict[str, object]:
    from mohawk.nouns.families import is_known

    return {
        "model": card.model_id,
        "family": card.family,
        "support": "tested" if is_known(card.family) else "served only if the self-test passes",
        "layers": card.layers,
        "hidden_size": card.hidden_size,
        "vocabulary": card.vocabulary_size,
        "context": card.context_length,
        "type": card.dtype.value,
        "tied_head": card.tied,
        "weight_bytes": card.weight_bytes,
        "tensors": len(card.tensors),
        "revision": card.revision,
    }
