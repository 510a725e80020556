"""Whatever bytes arrive as a keyring, we parse them or raise a Remote error; what parses has one spelling."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from mohawk.artifact.keyring import Keyring, WrappedKey, parse_keyring
from mohawk.errors import RemoteError

KEYS = st.builds(
    WrappedKey,
    key_id=st.binary(min_size=16, max_size=16).map(bytes.hex),
    salt=st.binary(min_size=32, max_size=32),
    wrapped=st.binary(min_size=48, max_size=48),
)
KEYRINGS = st.builds(
    Keyring,
    provider=st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True),
    model_key=st.binary(min_size=1, max_size=4096),
    data_keys=st.lists(KEYS, max_size=4, unique_by=lambda key: key.key_id).map(tuple),
)
GOOD = Keyring("key-file", b"blob", (WrappedKey("00" * 16, bytes(32), bytes(48)),)).encode()
VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=80) | st.lists(st.integers(), max_size=3)


def parse_or_refuse(data: bytes) -> None:
    try:
        keyring = parse_keyring(data)
    except RemoteError:
        return
    assert keyring.encode() == data


@given(KEYRINGS)
@settings(max_examples=100)
def test_round_trip(keyring: Keyring) -> None:
    assert parse_keyring(keyring.encode()) == keyring


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_any_bytes(data: bytes) -> None:
    parse_or_refuse(data)


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
@settings(max_examples=200)
def test_one_byte_changed(at: int, change: int) -> None:
    data = bytearray(GOOD)
    data[at] ^= change
    parse_or_refuse(bytes(data))


@given(st.sampled_from(["key", "salt", "wrapped"]), VALUES)
@settings(max_examples=100)
def test_any_value_in_any_key_field(field: str, value: object) -> None:
    document = json.loads(GOOD)
    document["data_keys"][0][field] = value
    parse_or_refuse(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())
