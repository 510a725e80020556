"""Join tokens: one spelling, a checksum against typing, and a proof that is for one connection, name, key and machine."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mohawk.crypto.certificate_request import make_request
from mohawk.crypto.signing import SigningKey
from mohawk.errors import IdentityError, UsageError
from mohawk.identity.join_token import JoinToken, encode_token, parse_token, split_address
from mohawk.identity.names import NodeName

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
W1 = NodeName.parse("spiffe://mesh.example/worker/w1")
TOKEN = JoinToken(W1, NOW, root="ab" * 32, controller="10.0.0.10:8002", publisher="ef" * 32, ek_hash="cd" * 32)
EXPORTER, REQUEST = b"e" * 32, make_request(SigningKey.generate())


@pytest.mark.parametrize("token", [TOKEN, replace(TOKEN, ek_hash=""), replace(TOKEN, controller="[2001:db8::1]:1")])
def test_what_is_printed_is_read(token: JoinToken) -> None:
    text = encode_token(token)
    assert parse_token(text) == token
    assert text.isprintable()
    assert " " not in text


def test_every_token_has_a_secret_of_its_own_and_shows_it_nowhere_else() -> None:
    other = replace(TOKEN, secret=JoinToken(W1, NOW, TOKEN.root, TOKEN.controller, TOKEN.publisher).secret)
    assert other.id != TOKEN.id
    assert other.mac_key != TOKEN.mac_key
    assert repr(TOKEN.secret)[2:-1] not in repr(TOKEN)
    assert TOKEN.secret not in repr(TOKEN.opened(NOW)).encode()


def test_a_mistyped_token_is_told_from_a_wrong_one() -> None:
    text = encode_token(TOKEN)
    for position in range(len("mohawk-join-1."), len(text)):
        other = "A" if text[position] != "A" else "B"
        with pytest.raises(UsageError, match=r"mistyped|version"):
            parse_token(text[:position] + other + text[position + 1 :])
    for cut in range(len(text)):
        with pytest.raises(UsageError):
            parse_token(text[:cut])


@pytest.mark.parametrize(
    "text", ["", "mohawk-join-1", "mohawk-join-1..", "mohawk-join-2.e30.00000000", "é", "x" * 5000]
)
def test_other_texts(text: str) -> None:
    with pytest.raises(UsageError):
        parse_token(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"root": ""},
        {"root": "AB" * 32},
        {"root": "ab" * 31},
        {"ek_hash": "cd"},
        {"secret": b"short"},
        {"controller": "10.0.0.10"},
    ],
)
def test_tokens_that_cannot_be(changes: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        replace(TOKEN, **changes)


@pytest.mark.parametrize(
    ("text", "found"),
    [("10.0.0.1:8002", ("10.0.0.1", 8002)), ("[::1]:1", ("::1", 1)), ("Host.example:65535", ("Host.example", 65535))],
)
def test_addresses(text: str, found: tuple[str, int]) -> None:
    assert split_address(text) == found


@pytest.mark.parametrize(
    "text",
    ["", "host", "host:", ":1", "host:0", "host:65536", "host:01", "::1:1", "[::1]", "a b:1", "h:1\n", "h/:1", "u@h:1"],
)
def test_addresses_mistyped(text: str) -> None:
    with pytest.raises(UsageError):
        split_address(text)


# ---- the proof ------------------------------------------------------------------------------------------------------


def test_a_holder_s_proof_is_accepted_on_its_own_connection() -> None:
    TOKEN.opened(NOW).verify(TOKEN.prove(EXPORTER, REQUEST), EXPORTER, REQUEST)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": NodeName.parse("spiffe://mesh.example/worker/w2")},
        {"name": NodeName.parse("spiffe://mesh.example/controller/w1")},
        {"ek_hash": ""},
        {"ek_hash": "ce" * 32},
        {"secret": b"s" * 32},
    ],
)
def test_another_name_machine_or_secret_proves_nothing(changes: dict[str, object]) -> None:
    proof = replace(TOKEN, **changes).prove(EXPORTER, REQUEST)
    with pytest.raises(IdentityError):
        TOKEN.opened(NOW).verify(proof, EXPORTER, REQUEST)


def test_another_connection_or_key_needs_another_proof() -> None:
    proof, kept = TOKEN.prove(EXPORTER, REQUEST), TOKEN.opened(NOW)
    for exporter, request in ((b"f" * 32, REQUEST), (EXPORTER, make_request(SigningKey.generate()))):
        with pytest.raises(IdentityError):
            kept.verify(proof, exporter, request)
    with pytest.raises(IdentityError):
        kept.verify(b"", EXPORTER, REQUEST)
