"""What `mohawk up` needs before anything runs: an authority, identities, and a sealed model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path

from mohawk.checkpoint.reader import read_card
from mohawk.cli.command_log import command_log
from mohawk.cli.places import Places
from mohawk.errors import UsageError
from mohawk.host.authority import DEFAULT_DOMAIN, AuthorityFolder
from mohawk.host.identity import write_node_identity
from mohawk.host.keys import KeyProvider, open_model_key
from mohawk.host.sealed_folder import MANIFEST, SealedFolder
from mohawk.identity.certificates import LEAF_MAXIMUM
from mohawk.identity.names import Role
from mohawk.nouns.model import ModelCard
from mohawk.planning.placement import cut_evenly, cut_finely, place_evenly
from mohawk.publisher.sealing import Publication, seal_model
from mohawk.publisher.versions import assign_version

DEMO_MODEL = "demo"
Progress = Callable[[str, int, int], None]
"""Told what is being done, the bytes done, and the bytes in all."""


@dataclass(frozen=True, slots=True)
class PreparedModel:
    """A sealed model, and the plain folder it was sealed from (None when it was given sealed)."""

    folder: SealedFolder
    source: Path | None


def prepare_authority(places: Places, now: datetime, password: bytes | None = None) -> AuthorityFolder:
    """This user's authority, made on first use, with a fresh operator identity for `mohawk status`. `password`: of its
    keys.
    """
    authority = AuthorityFolder(places.pki, password)
    if not authority.exists:
        with command_log() as record:
            authority.initialise(DEFAULT_DOMAIN, now, record)
    operator = authority.issue_node(Role.OPERATOR, "operator", now, LEAF_MAXIMUM)
    write_node_identity(places.operator, operator, authority.pins(), authority.policy())
    return authority


def prepare_model(
    model: Path | None,
    workers: int,
    places: Places,
    authority: AuthorityFolder,
    provider: KeyProvider,
    report: Progress,
) -> PreparedModel:
    """The sealed model to serve, by `workers` workers. A model folder is sealed, in slices as fine as can be, unless
    the same files were sealed before.

    Raises UsageError, ArtifactError, UnsupportedModelError, HostError.
    """
    if model is not None and (model / MANIFEST).exists():
        return _check_room(PreparedModel(SealedFolder.open(model, authority.pins()), None), workers)
    source = demo_folder() if model is None else model
    name = DEMO_MODEL if model is None else None
    card = read_card(source, model_id=name, progress=lambda done, total: report("reading", done, total))
    ranges = cut_finely(card)
    target = places.sealed_model(card.model_id, card.revision, len(ranges))
    if (target / MANIFEST).exists():
        return _check_room(PreparedModel(_open_sealed(target, card, authority, provider), source), workers)
    cut_evenly(card, workers)  # more workers than layers: say so before gigabytes are sealed
    version = assign_version(authority.versions, card.model_id, card.revision)
    publication = Publication(source, card, version, authority.publisher(), provider)
    seal_model(publication, ranges, target, lambda done, total: report("sealing", done, total))
    return PreparedModel(SealedFolder.open(target, authority.pins()), source)


def _check_room(prepared: PreparedModel, workers: int) -> PreparedModel:
    """Raises UsageError when there are fewer slices than workers: before any of them is started."""
    place_evenly(prepared.folder.manifest.sizes(), [str(number) for number in range(workers)])
    return prepared


def _open_sealed(target: Path, card: ModelCard, authority: AuthorityFolder, provider: KeyProvider) -> SealedFolder:
    """What an earlier start sealed. It is never silently sealed again: an altered folder, or another key, is something
    that the operator must hear of. Raises MohawkError.
    """
    folder = SealedFolder.open(target, authority.pins())
    if (folder.manifest.model_id, folder.manifest.revision) != (card.model_id, card.revision):
        raise UsageError(f"{target} holds another model", hint="remove it to seal this one")
    folder.side_files()
    try:
        open_model_key(provider, folder.keyring()).release()
    except UsageError as error:
        hint = f"give the key it was sealed with, or remove {target} to seal the model again"
        raise UsageError(f"this model was sealed before, and {error.message}", hint=hint) from None
    return folder


def suggested_questions() -> list[str]:
    """What the demo model knows well."""
    return [str(text) for text in json.loads((demo_folder() / "suggested_questions.json").read_text("utf-8"))]


def demo_folder() -> Path:
    """The demo model that comes with the package. Raises UsageError when the package was built without it."""
    folder = Path(str(files("mohawk") / "demo_model"))
    if not (folder / "config.json").exists():
        raise UsageError("this installation has no demo model", hint="give a model folder")
    return folder
