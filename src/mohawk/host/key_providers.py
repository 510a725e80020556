"""From a key's URI to the provider behind it. The one place that knows all of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from mohawk.errors import UsageError
from mohawk.host.files import read_file
from mohawk.host.keys import KeyFile, KeyProvider, PassphraseFile
from mohawk.nouns.key_source import KeyFileSource, KeySource, PassphraseSource, PinFile, TokenSource, TpmSource

_LONGEST_PIN = 256


def open_key_provider(source: KeySource, environment: Mapping[str, str]) -> KeyProvider:
    """The provider that `source` names; nothing is read or asked before it is used. `environment`: where a PIN may
    be.
    """
    match source:
        case PassphraseSource(path):
            return PassphraseFile(Path(path))
        case KeyFileSource(path):
            return KeyFile(Path(path))
        case TokenSource():
            from mohawk.host.pkcs11 import TokenKey

            return TokenKey(source, partial(_read_pin, source, environment))
        case TpmSource():
            from mohawk.host.tpm_sealed import TpmSealed

            return TpmSealed(Path(source.device), source.pcrs)


def describe_keeper(name: str) -> str:
    """The honest sentence of the provider that a keyring names, without asking it anything."""
    from mohawk.host.pkcs11 import TokenKey
    from mohawk.host.tpm_sealed import TpmSealed

    known = {provider.name: provider.describe() for provider in (PassphraseFile, KeyFile, TokenKey, TpmSealed)}
    return known.get(name, "A provider that this version does not know.")


def _read_pin(source: TokenSource, environment: Mapping[str, str]) -> str:
    """Raises HostError, PolicyError (a file that others may read), UsageError (no PIN there)."""
    if isinstance(source.pin, PinFile):
        data = read_file(Path(source.pin.path), _LONGEST_PIN, private=True)
        try:
            pin = data.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise UsageError("a PIN file that is not text", hint="it holds the PIN and nothing else") from None
    else:
        pin = environment.get(source.pin.name, "")
    if not pin:
        raise UsageError(f"no PIN for token {source.token}", hint="pin-source names an empty file or an unset variable")
    return pin
