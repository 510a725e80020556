"""`mohawk keys`: the life of the keys of sealed models: where each is kept, moved, replaced, destroyed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mohawk.cli.command_log import command_log
from mohawk.cli.key_option import KEY_HELP, KeyOption, choose_provider, name_provider
from mohawk.cli.output import print_json, print_table
from mohawk.cli.places import Places
from mohawk.errors import MohawkError

if TYPE_CHECKING:
    from mohawk.crypto.signing import PublisherPins
    from mohawk.host.sealed_folder import SealedFolder
    from mohawk.publisher.key_changes import KeyChange

app = typer.Typer(help="List, move, replace and destroy the keys of sealed models.", no_args_is_help=True)

FolderArgument = Annotated[Path, typer.Argument(help="Sealed model folder.")]
PkiOption = Annotated[Path | None, typer.Option("--pki", help="Authority folder whose publisher is believed.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@dataclass(frozen=True, slots=True)
class Kept:
    """One sealed model. `provider` "none": its keyring is gone, and its slices open nowhere."""

    model: str
    version: int
    data_keys: int
    provider: str
    promise: str
    folder: str


@app.command("list")
def list_keys(
    folder: Annotated[Path | None, typer.Argument(help="Look below this folder (default: MIE_HOME).")] = None,
    pki: PkiOption = None,
    json: JsonOption = False,
) -> None:
    """Show every sealed model, who keeps its key, and what that protects. Opens nothing."""
    from mohawk.host.sealed_folder import MANIFEST

    places = Places.load()
    pins = _pins(pki, places)
    found = [_look_at(path.parent, pins) for path in sorted((folder or places.home).rglob(MANIFEST))]
    if json:
        print_json([asdict(kept) for kept in found])
        return
    rows = [(k.model, k.version, k.data_keys, k.provider, k.folder, k.promise) for k in found]
    print_table("", ("model", "version", "data keys", "kept by", "folder", "what that protects"), rows)


@app.command()
def rewrap(
    folder: FolderArgument,
    to: Annotated[str, typer.Option("--to", metavar="URI", help=f"The new keeper. {KEY_HELP}")],
    key: KeyOption = None,
    pki: PkiOption = None,
    json: JsonOption = False,
) -> None:
    """Keep the same model key in another place: wrap it there, then destroy the old place's key for it."""
    from mohawk.config import load_settings
    from mohawk.publisher.key_changes import rewrap as change

    settings = load_settings()
    sealed = _open(folder, pki)
    with command_log() as record:
        done = change(sealed, name_provider(key, settings), choose_provider(to, settings), record)
    _tell(sealed, done, as_json=json)


@app.command()
def rotate(folder: FolderArgument, key: KeyOption = None, pki: PkiOption = None, json: JsonOption = False) -> None:
    """Make a new model key and wrap every data key under it. No slice changes, and no worker fetches anything."""
    from mohawk.config import load_settings
    from mohawk.publisher.key_changes import rotate as change

    sealed = _open(folder, pki)
    with command_log() as record:
        done = change(sealed, name_provider(key, load_settings()), record)
    _tell(sealed, done, as_json=json)


@app.command()
def destroy(
    folder: FolderArgument,
    key: KeyOption = None,
    pki: PkiOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: JsonOption = False,
) -> None:
    """Destroy a model's key for ever (crypto-shred): its slices open nowhere afterwards, wherever they lie."""
    from mohawk.config import load_settings
    from mohawk.host.memory import harden_process
    from mohawk.publisher.key_changes import destroy as change

    harden_process()
    settings = load_settings()
    provider = name_provider(key, settings)
    try:  # what is broken, or somebody else's, must be destructible too
        model = _open(folder, pki).manifest.model_id
    except MohawkError:
        model = folder.name
    if not yes:
        typer.confirm(f"Destroy the key of {model}? Its slices will open nowhere, for nobody", abort=True, err=True)
    with command_log() as record:
        done = change(folder, model, provider, record)
    if json:
        print_json({"model": model, "folder": str(folder)} | asdict(done))
        return
    typer.echo(f"the key of {model} is destroyed. {done.reach}")
    typer.echo("stages that are loaded now go on until their workers stop; the slices may be deleted")


def _open(folder: Path, pki: Path | None) -> SealedFolder:
    from mohawk.host.memory import harden_process
    from mohawk.host.sealed_folder import SealedFolder

    harden_process()
    return SealedFolder.open(folder, _pins(pki, Places.load()))


def _pins(pki: Path | None, places: Places) -> PublisherPins:
    from mohawk.host.authority import AuthorityFolder

    return AuthorityFolder(pki or places.pki).pins()


def _look_at(folder: Path, pins: PublisherPins) -> Kept:
    from mohawk.host.key_providers import describe_keeper
    from mohawk.host.sealed_folder import KEYRING, SealedFolder

    try:
        sealed = SealedFolder.open(folder, pins)
        manifest = sealed.manifest
        if not (folder / KEYRING).exists():
            return Kept(manifest.model_id, manifest.version, 0, "none", "No key: opens nowhere.", str(folder))
        keyring = sealed.keyring()
        promise = describe_keeper(keyring.provider)
        count = len(keyring.data_keys)
        return Kept(manifest.model_id, manifest.version, count, keyring.provider, promise, str(folder))
    except MohawkError as error:
        return Kept("?", 0, 0, "?", f"Cannot be read: {error.message}", str(folder))


def _tell(sealed: SealedFolder, done: KeyChange, *, as_json: bool) -> None:
    model = sealed.manifest.model_id
    if as_json:
        print_json({"model": model, "folder": str(sealed.folder)} | asdict(done))
    else:
        typer.echo(f"the key of {model} is kept by {done.provider} now. Of the old one: {done.reach}")
