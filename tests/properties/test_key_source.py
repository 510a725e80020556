"""Whatever text is given as a key's URI, it is parsed or refused as the caller's mistake; a URI has room for no secret,
and a refusal repeats none.
"""

from __future__ import annotations

import contextlib
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mohawk.errors import UsageError
from mohawk.nouns.key_source import KeyFileSource, PassphraseSource, TokenSource, TpmSource, parse_key_source

NAMES = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8)
PATHS = NAMES.map(lambda text: f"/{text}")
PIECES = st.sampled_from(
    ["pkcs11:", "tpm:", "file:", "passphrase:", "token=", "object=", "serial=", "type=secret-key", "module-path="]
    + [
        "pin-source=",
        "pin-value=",
        "file:",
        "env:",
        "/x",
        "?",
        ";",
        "&",
        "%",
        "%20",
        "%ff",
        "pcrs=",
        "0",
        ",",
        "\n",
        "x",
    ]
)


def parse_or_refuse(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert isinstance(parse_key_source(text), PassphraseSource | KeyFileSource | TokenSource | TpmSource)


@given(st.text(max_size=100))
@settings(max_examples=200)
def test_any_text(text: str) -> None:
    parse_or_refuse(text)


@given(st.lists(PIECES, max_size=14).map("".join))
@settings(max_examples=500)
def test_text_from_the_pieces_of_a_uri(text: str) -> None:
    parse_or_refuse(text)


@given(st.binary(max_size=60).map(lambda data: data.decode("utf-8", "surrogateescape")))
@settings(max_examples=200)
def test_what_a_shell_may_pass(text: str) -> None:
    """Arguments that are not UTF-8 arrive as lone surrogates."""
    parse_or_refuse(f"pkcs11:token={text}?module-path=/m&pin-source=file:/p")
    parse_or_refuse(f"passphrase:{text}")


@given(NAMES, NAMES, PATHS, PATHS)
@settings(max_examples=200)
def test_percent_encoding_is_undone(token: str, label: str, module: str, pin: str) -> None:
    uri = f"pkcs11:token={quote(token, safe='')};object={quote(label, safe='')}"
    source = parse_key_source(f"{uri}?pin-source=file:{quote(pin, safe='/')}&module-path={quote(module, safe='/')}")
    assert isinstance(source, TokenSource)
    assert (source.token, source.label, source.module) == (token, label, module)


@given(st.text(max_size=30), st.sampled_from(["pkcs11:token=t?module-path=/m&", "pkcs11:token=t;"]))
@settings(max_examples=200)
def test_a_pin_in_the_argument_is_refused_and_not_repeated(pin: str, before: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_key_source(f"{before}pin-value=geheim{pin}&pin-source=file:/p")
    assert "geheim" not in refused.value.message + refused.value.hint


@given(st.lists(st.integers(-2, 30), max_size=6))
@settings(max_examples=200)
def test_registers(pcrs: list[int]) -> None:
    try:
        source = parse_key_source(f"tpm:/dev/tpmrm0?pcrs={','.join(map(str, pcrs))}")
    except UsageError:
        return
    assert isinstance(source, TpmSource)
    assert list(source.pcrs) == sorted(set(pcrs))
    assert not set(source.pcrs) & {16, 23}
    assert all(0 <= number <= 23 for number in source.pcrs)
