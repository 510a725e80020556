"""`--key`: one way to say where a model key is kept, for every command that needs one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mohawk.cli.places import Places

if TYPE_CHECKING:
    from mohawk.config import Settings
    from mohawk.host.keys import KeyProvider
    from mohawk.nouns.key_source import KeySource

KEY_HELP = "passphrase:FILE, file:FILE, pkcs11:token=…?module-path=…&pin-source=…, or tpm:/dev/tpmrm0."
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="URI",
        help=f"Where the model key is kept: {KEY_HELP} Default: MIE_KEY_PROVIDER, else a key file in MIE_HOME.",
    ),
]


def name_provider(key: str | None, settings: Settings) -> KeyProvider:
    """The provider that `--key`, the setting or the default names. Raises UsageError."""
    from mohawk.host.key_providers import open_key_provider

    return open_key_provider(_source(key, settings), os.environ)


def choose_provider(key: str | None, settings: Settings) -> KeyProvider:
    """The same, to keep a new key: a key file is made on first use. Raises UsageError, HostError."""
    from mohawk.host.files import make_private_folder
    from mohawk.host.keys import KeyFile
    from mohawk.nouns.key_source import KeyFileSource

    source = _source(key, settings)
    if isinstance(source, KeyFileSource) and not Path(source.path).exists():
        make_private_folder(Path(source.path).parent)
        return KeyFile.create(Path(source.path))
    return name_provider(key, settings)


def _source(key: str | None, settings: Settings) -> KeySource:
    from mohawk.nouns.key_source import KeyFileSource, parse_key_source

    text = key or settings.key_provider
    return parse_key_source(text) if text else KeyFileSource(str(Places(settings.home).model_key))
