"""Whatever bytes a keyring holds as a token's wrapped key, we parse them or raise a Remote error; one spelling each."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from mohawk.errors import RemoteError
from mohawk.host.pkcs11 import WrappedByToken

NAMES = st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=12)
BLOBS = st.builds(
    WrappedByToken,
    token=NAMES,
    serial=NAMES,
    label=NAMES,
    key_id=st.binary(min_size=16, max_size=16),
    wrapped=st.binary(min_size=40, max_size=40),
)
GOOD = WrappedByToken("token", "0123", "label", bytes(16), bytes(40)).encode()
VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=80) | st.lists(st.integers(), max_size=3)


def parse_or_refuse(data: bytes) -> None:
    try:
        parsed = WrappedByToken.parse(data)
    except RemoteError:
        return
    assert parsed.encode() == data
    assert (parsed.token + parsed.serial + parsed.label).isprintable()


@given(BLOBS)
@settings(max_examples=100)
def test_round_trip(blob: WrappedByToken) -> None:
    assert WrappedByToken.parse(blob.encode()) == blob


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


@given(st.sampled_from(["format", "id", "label", "serial", "token", "wrapped"]), VALUES)
@settings(max_examples=200)
def test_any_value_in_any_field(field: str, value: object) -> None:
    document = json.loads(GOOD) | {field: value}
    parse_or_refuse(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())
