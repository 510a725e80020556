"""How an operator names where a model key is kept: each form, and what each refusal says."""

from __future__ import annotations

import pytest

from mohawk.errors import UsageError
from mohawk.nouns.key_source import (
    KeyFileSource,
    PassphraseSource,
    PinFile,
    PinVariable,
    TokenSource,
    TpmSource,
    parse_key_source,
)

END = "?module-path=/usr/lib/m.so&pin-source=file:/run/pin"


def test_files():
    assert parse_key_source("passphrase:secret words.txt") == PassphraseSource("secret words.txt")
    assert parse_key_source("file:/etc/mohawk/model.key") == KeyFileSource("/etc/mohawk/model.key")


def test_a_token():
    source = parse_key_source(f"pkcs11:token=My%20HSM;object=tiny;serial=4073f998aa33601f{END}")
    assert source == TokenSource("/usr/lib/m.so", "My HSM", PinFile("/run/pin"), "tiny", "4073f998aa33601f")


def test_a_token_as_p11tool_prints_it():
    text = "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=4073f998aa33601f;token=one" + END
    source = parse_key_source(text)
    assert isinstance(source, TokenSource)
    assert (source.token, source.model, source.manufacturer) == ("one", "SoftHSM v2", "SoftHSM project")


@pytest.mark.parametrize(
    ("text", "pin"),
    [
        ("file:/run/pin", PinFile("/run/pin")),
        ("file:///run/pin", PinFile("/run/pin")),
        ("env:TOKEN_PIN", PinVariable("TOKEN_PIN")),
    ],
)
def test_where_a_pin_comes_from(text: str, pin: PinFile | PinVariable):
    source = parse_key_source(f"pkcs11:token=t?module-path=/m&pin-source={text}")
    assert isinstance(source, TokenSource)
    assert source.pin == pin


def test_a_tpm():
    assert parse_key_source("tpm:/dev/tpmrm0") == TpmSource("/dev/tpmrm0", (0, 2, 4, 7))
    assert parse_key_source("tpm:/dev/tpmrm0?pcrs=7,0") == TpmSource("/dev/tpmrm0", (0, 7))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "URI"),
        ("passphrase", "URI"),
        ("passphrase:", "path"),
        ("vault:x", "URI"),
        ("file:a\nb", "path"),
        (f"pkcs11:{END}", "token"),
        (f"pkcs11:token={'x' * 33}{END}", "token"),
        (f"pkcs11:token=a%0a{END}", "token"),
        (f"pkcs11:token=a%zz{END}", "percent"),
        (f"pkcs11:token=a%ff{END}", "UTF-8"),
        (f"pkcs11:token=a;token=b{END}", "repeated"),
        (f"pkcs11:token=a;slot-id=1{END}", "unknown"),
        (f"pkcs11:token=a;type=private{END}", "secret-key"),
        ("pkcs11:token=a?pin-source=file:/p", "module-path"),
        ("pkcs11:token=a?module-path=/m", "pin-source"),
        ("pkcs11:token=a?module-path=m.so&pin-source=file:/p", "root"),
        ("pkcs11:token=a?module-path=/m&pin-source=|/bin/askpass", "pin-source"),
        ("pkcs11:token=a?module-path=/m&pin-source=file:pin", "root"),
        ("pkcs11:token=a?module-path=/m&pin-source=env:pin", "capitals"),
        ("pkcs11:token=a?module-path=/m&pin-value=1234", "readable by others"),
        ("pkcs11:token=a;pin-value=1234?module-path=/m", "readable by others"),
        ("tpm:tpmrm0", "root"),
        ("tpm:/dev/tpmrm0?pcrs=", "PCRs"),
        ("tpm:/dev/tpmrm0?pcrs=0,0", "PCRs"),
        ("tpm:/dev/tpmrm0?pcrs=24", "PCRs"),
        ("tpm:/dev/tpmrm0?pcrs=0,16", "reset"),
        ("tpm:/dev/tpmrm0?banks=1", "PCRs"),
        ("file:" + "x" * 4096, "limit"),
    ],
)
def test_what_is_refused(text: str, says: str):
    with pytest.raises(UsageError, match=says):
        parse_key_source(text)
