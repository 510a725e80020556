"""`mohawk model`: look at a model folder, cut it, seal it, verify a sealed one. Needs neither torch nor a running
controller.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mohawk.cli.authority import open_authority
from mohawk.cli.key_option import KeyOption, choose_provider, name_provider
from mohawk.cli.output import human_bytes, print_json, print_table, progress_bars
from mohawk.cli.passwords import PasswordFileOption, PasswordSource
from mohawk.cli.places import Places

if TYPE_CHECKING:
    from mohawk.host.memory import SecretBytes
    from mohawk.host.sealed_folder import SealedFolder
    from mohawk.nouns.model import LayerRange, ModelCard

app = typer.Typer(help="Inspect, plan, seal and verify models.", no_args_is_help=True)

FolderArgument = Annotated[Path, typer.Argument(help="Hugging Face model folder.")]
SlicesOption = Annotated[
    int | None, typer.Option("--slices", "-n", min=1, help="How many slices; default: one per layer, at most 128.")
]
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
def plan(
    folder: FolderArgument,
    slices: SlicesOption = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Of a sealed model: who gets which layers, and why.")
    ] = False,
    worker: Annotated[list[str] | None, typer.Option(help="NAME=HOST:PORT of a worker to measure; repeat.")] = None,
    identity: Annotated[Path | None, typer.Option(help="A controller's, to measure workers with.")] = None,
    measurements: Annotated[Path | None, typer.Option(help="Instead: what --explain --json printed.")] = None,
    rows: Annotated[int, typer.Option(min=1, max=512, help="Sequences in one step that the plan is made for.")] = 8,
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    kv_tokens: Annotated[int, typer.Option(min=0, help="Tokens of KV on each stage; 0: eight contexts.")] = 0,
    may_hold_ends: Annotated[
        list[str] | None, typer.Option(help="Worker that may have the first or last stage; repeat; default: all.")
    ] = None,
    pki: Annotated[Path | None, typer.Option(help="Authority folder (default: in MIE_HOME).")] = None,
    password_file: PasswordFileOption = None,
    json: JsonOption = False,
) -> None:
    """Show how the model would be cut, evenly by bytes; or, with --explain, laid out over workers as they are."""
    if explain:
        from mohawk.cli.explaining import Question, answer, explain_choice, print_explanation

        question = Question(
            folder, dtype, kv_tokens, rows, tuple(may_hold_ends or ()), pki, PasswordSource(password_file)
        )
        choice = answer(question, worker or [], identity, measurements)
        if json:
            print_json(explain_choice(choice))
        else:
            print_explanation(choice)
        return
    _show_cut(_read_card(folder), folder, slices, as_json=json)


def _show_cut(card: ModelCard, folder: Path, slices: int | None, *, as_json: bool) -> None:
    from mohawk.checkpoint.slicer import SliceSource

    sources = [SliceSource(folder, card, layers) for layers in _cut(card, slices)]
    if as_json:
        print_json([{"slice": source.layers.slice_id, "bytes": source.size} for source in sources])
        return
    table = [
        (source.layers.slice_id, len(source.layers), human_bytes(source.size), f"{source.size / card.weight_bytes:.0%}")
        for source in sources
    ]
    print_table("", ("slice", "layers", "size", "of the model"), table)


@app.command()
def seal(
    folder: FolderArgument,
    out: Annotated[Path, typer.Option(help="Folder to write the sealed model into.")],
    slices: SlicesOption = None,
    key: KeyOption = None,
    pki: Annotated[Path | None, typer.Option(help="Authority folder that holds the publisher key.")] = None,
    password_file: PasswordFileOption = None,
    json: JsonOption = False,
) -> None:
    """Cut, encrypt and sign a model. Without --key, a random key file apart from the slices protects it."""
    from mohawk.config import load_settings
    from mohawk.host.memory import harden_process
    from mohawk.publisher.sealing import Publication, seal_model
    from mohawk.publisher.versions import assign_version

    harden_process()
    settings = load_settings()
    authority = open_authority(pki, PasswordSource(password_file))
    publisher = authority.publisher()
    card = _read_card(folder)
    provider = choose_provider(key, settings)
    version = assign_version(authority.versions, card.model_id, card.revision)
    with progress_bars() as report:
        publication = Publication(folder, card, version, publisher, provider)
        manifest = seal_model(publication, _cut(card, slices), out, lambda done, total: report("sealing", done, total))
    rows = [(part.slice_id, human_bytes(part.sealed_bytes), part.digest) for part in manifest.slices]
    if json:
        print_json({"folder": str(out), "version": version, "slices": [part.digest for part in manifest.slices]})
        return
    print_table(f"{card.model_id} version {version} in {out}", ("slice", "sealed", "sha-256"), rows)
    typer.echo(f"key provider {provider.name}: {provider.describe()}")


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="Sealed model folder.")],
    key: KeyOption = None,
    pki: Annotated[Path | None, typer.Option(help="Authority folder whose publisher is believed.")] = None,
    json: JsonOption = False,
) -> None:
    """Check signature, side files, and that every slice opens under its key with the signed digest."""
    from mohawk.config import load_settings
    from mohawk.host.authority import AuthorityFolder
    from mohawk.host.keys import open_model_key
    from mohawk.host.memory import harden_process
    from mohawk.host.sealed_folder import SealedFolder

    harden_process()
    settings = load_settings()
    sealed = SealedFolder.open(folder, AuthorityFolder(pki or Places(settings.home).pki).pins())
    sealed.side_files()
    with open_model_key(name_provider(key, settings), sealed.keyring()) as model_key, progress_bars() as report:
        _open_every_slice(sealed, model_key, report)
    manifest = sealed.manifest
    if json:
        print_json({"model": manifest.model_id, "version": manifest.version, "slices": len(manifest.slices)})
    else:
        typer.echo(
            f"{manifest.model_id} version {manifest.version}: "
            f"signature, side files and all {len(manifest.slices)} slices verify"
        )


def _open_every_slice(sealed: SealedFolder, model_key: SecretBytes, report: Callable[[str, int, int], None]) -> None:
    """One after the other, each overwritten again. Raises ArtifactError."""
    from mohawk.crypto.primitives import KEY_SIZE
    from mohawk.host.memory import SecretBytes, allocate
    from mohawk.host.sealed_folder import slice_path
    from mohawk.host.slice_file import open_slice

    keyring = sealed.keyring()
    done, total = 0, sum(part.context.plaintext_bytes for part in sealed.manifest.slices)
    with SecretBytes(KEY_SIZE) as data_key:
        for part in sealed.manifest.slices:
            keyring.unwrap_into(model_key.view, part.context, data_key.view)
            memory = allocate(part.context.plaintext_bytes)
            open_slice(slice_path(sealed.folder, part.slice_id), part, data_key.view, memory.view)
            memory.release()
            done += part.context.plaintext_bytes
            report("opening", done, total)


def _cut(card: ModelCard, slices: int | None) -> tuple[LayerRange, ...]:
    from mohawk.planning.placement import cut_evenly, cut_finely

    return cut_finely(card) if slices is None else cut_evenly(card, slices)


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
