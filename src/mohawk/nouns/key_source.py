"""Where a model key is kept, as one line of text: what `--key` and `MIE_KEY_PROVIDER` say (docs/spec/sealed-slice.md
§4.2).

    passphrase:PATH    file:PATH    pkcs11:token=…;object=…?module-path=…&pin-source=…    tpm:/dev/tpmrm0?pcrs=0,2,4,7

Rules, and the attack each stops:

1. No secret has a place in it, for `ps` shows arguments to others. A passphrase is a file, a PIN is a file or the name
   of a variable, and RFC 7512's `pin-value` is refused.
2. What is not understood is refused, not skipped: a misspelt attribute must not widen what a URI matches.
3. Names are printable and of bounded length, so that messages and tables can show them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import unquote

from mohawk.errors import UsageError

MAXIMUM_TEXT = 4096
"""Characters; a path on Linux has as many at most."""
DEFAULT_PCRS = (0, 2, 4, 7)
"""Firmware, option ROMs, boot loader, secure boot state."""
_RESETTABLE_PCRS = (16, 23)
"""Any program may reset these: sealing to them protects nothing."""
_LARGEST_PCR = 23
_ESCAPED = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*", re.ASCII | re.DOTALL)
_SERIAL = re.compile(r"[0-9A-Za-z._-]{0,16}", re.ASCII)
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}", re.ASCII)
_PCR = re.compile(r"0|[1-9][0-9]?", re.ASCII)
_PATH_ATTRIBUTES = ("token", "object", "serial", "model", "manufacturer", "type")
_QUERY_ATTRIBUTES = ("module-path", "pin-source")


@dataclass(frozen=True, slots=True)
class PassphraseSource:
    """A passphrase in a file."""

    path: str

    def __post_init__(self) -> None:
        _check_path(self.path)


@dataclass(frozen=True, slots=True)
class KeyFileSource:
    """Random bytes in a file."""

    path: str

    def __post_init__(self) -> None:
        _check_path(self.path)


@dataclass(frozen=True, slots=True)
class PinFile:
    path: str

    def __post_init__(self) -> None:
        _check_path(self.path, absolute=True)


@dataclass(frozen=True, slots=True)
class PinVariable:
    """The name of an environment variable."""

    name: str

    def __post_init__(self) -> None:
        if _VARIABLE.fullmatch(self.name) is None:
            raise _wrong("the variable that holds a PIN is named in capitals", "pin-source=env:TOKEN_PIN")


@dataclass(frozen=True, slots=True)
class TokenSource:
    """A PKCS#11 token (RFC 7512). `serial`, `model`, `manufacturer`: must match too, where given; `label`: of the key
    objects made there, derived where not given.
    """

    module: str
    token: str
    pin: PinFile | PinVariable
    label: str = ""
    serial: str = ""
    model: str = ""
    manufacturer: str = ""

    def __post_init__(self) -> None:
        _check_path(self.module, absolute=True)
        _check_name("token", self.token, 32)
        for name, text, most in (
            ("object", self.label, 64),
            ("model", self.model, 16),
            ("manufacturer", self.manufacturer, 32),
        ):
            if text:
                _check_name(name, text, most)
        if _SERIAL.fullmatch(self.serial) is None:
            raise _wrong("not a token's serial number", "see `p11tool --list-tokens`")


@dataclass(frozen=True, slots=True)
class TpmSource:
    """A TPM 2.0 device, or the Unix socket of a software one; the key opens only while `pcrs` are what they were."""

    device: str
    pcrs: tuple[int, ...] = field(default=DEFAULT_PCRS)

    def __post_init__(self) -> None:
        _check_path(self.device, absolute=True)
        if not self.pcrs or list(self.pcrs) != sorted(set(self.pcrs)) or not 0 <= self.pcrs[-1] <= _LARGEST_PCR:
            raise _wrong("PCRs are numbers from 0 to 23, in order", "tpm:/dev/tpmrm0?pcrs=0,2,4,7")
        if set(self.pcrs) & set(_RESETTABLE_PCRS):
            raise _wrong("PCRs 16 and 23 can be reset by any program", "tpm:/dev/tpmrm0?pcrs=0,2,4,7")


KeySource: TypeAlias = PassphraseSource | KeyFileSource | TokenSource | TpmSource


def parse_key_source(text: str) -> KeySource:
    """One line as above. Raises UsageError on anything else, with what is missing or wrong in it."""
    if len(text) > MAXIMUM_TEXT:
        raise _wrong("a key's URI beyond its size limit")
    scheme, colon, rest = text.partition(":")
    match scheme if colon else "":
        case "passphrase":
            return PassphraseSource(rest)
        case "file":
            return KeyFileSource(rest)
        case "pkcs11":
            return _parse_token(rest)
        case "tpm":
            return _parse_tpm(rest)
    raise _wrong("not a key's URI", "passphrase:PATH, file:PATH, pkcs11:token=…, or tpm:/dev/tpmrm0")


def _parse_token(text: str) -> TokenSource:
    path, _, query = text.partition("?")
    if re.search(r"(?:^|[;&?])pin-value=", text):
        raise _wrong("a PIN in an argument is readable by others", "put it into a 0600 file: pin-source=file:/path")
    names = _parse_attributes(path, ";", _PATH_ATTRIBUTES)
    settings = _parse_attributes(query, "&", _QUERY_ATTRIBUTES)
    for name, example in (("module-path", "/usr/lib/softhsm/libsofthsm2.so"), ("pin-source", "file:/path")):
        if name not in settings:
            raise _wrong(f"a pkcs11 URI without {name}", f"pkcs11:token=…?{name}={example}")
    if names.get("type", "secret-key") != "secret-key":
        raise _wrong("a model key is kept by an object of type secret-key")
    return TokenSource(
        module=settings["module-path"],
        token=names.get("token", ""),
        pin=_parse_pin_source(settings["pin-source"]),
        label=names.get("object", ""),
        serial=names.get("serial", ""),
        model=names.get("model", ""),
        manufacturer=names.get("manufacturer", ""),
    )


def _parse_attributes(text: str, separator: str, known: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text.split(separator) if text else ():
        name, _, value = part.partition("=")
        if name not in known or name in found:
            raise _wrong("a pkcs11 URI with an unknown or repeated attribute", f"known here: {', '.join(known)}")
        if _ESCAPED.fullmatch(value) is None:
            raise _wrong(f"{name} is not percent-encoded as RFC 7512 asks")
        try:
            found[name] = unquote(value, errors="strict")
        except UnicodeDecodeError:
            raise _wrong(f"{name} is not UTF-8") from None
    return found


def _parse_pin_source(text: str) -> PinFile | PinVariable:
    kind, _, rest = text.partition(":")
    if kind == "env":
        return PinVariable(rest)
    if kind == "file":
        return PinFile(rest.removeprefix("//"))
    raise _wrong("pin-source is a file or a variable", "pin-source=file:/path or pin-source=env:NAME")


def _parse_tpm(text: str) -> TpmSource:
    device, question, query = text.partition("?")
    if not question:
        return TpmSource(device)
    name, _, listed = query.partition("=")
    numbers = listed.split(",")
    if name != "pcrs" or not all(_PCR.fullmatch(number) for number in numbers):
        raise _wrong("not a list of PCRs", "tpm:/dev/tpmrm0?pcrs=0,2,4,7")
    return TpmSource(device, tuple(sorted(int(number) for number in numbers)))


def _check_path(path: str, *, absolute: bool = False) -> None:
    if not path or not path.isprintable() or len(path) > MAXIMUM_TEXT:
        raise _wrong("a key's URI without a path")
    if absolute and not path.startswith("/"):
        raise _wrong("a path in a key's URI that does not begin at the root")


def _check_name(name: str, text: str, most: int) -> None:
    if not text or not text.isprintable() or text != text.strip() or len(text.encode("utf-8", "replace")) > most:
        raise _wrong(f"{name} is missing, longer than {most} bytes, or not printable", f"pkcs11:{name}=…")


def _wrong(message: str, hint: str = "") -> UsageError:
    return UsageError(message, hint=hint, field="key")
