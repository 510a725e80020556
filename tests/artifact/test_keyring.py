"""Protects data keys: one model key, one sealing context, or they do not unwrap."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mohawk.artifact.keyring import Keyring, parse_keyring, wrap_data_key
from mohawk.errors import ArtifactError
from tests.support.keys import unwrap
from tests.support.slices import DATA_KEY, make_context

MODEL_KEY = b"m" * 32
SALT = b"s" * 32


def make_keyring() -> Keyring:
    keys = (
        wrap_data_key(MODEL_KEY, DATA_KEY, make_context(0, 3), SALT),
        wrap_data_key(MODEL_KEY, bytes(32), make_context(4, 7), b"t" * 32),
    )
    return Keyring("key-file", b"blob", keys)


def test_round_trip() -> None:
    keyring = parse_keyring(make_keyring().encode())
    assert keyring == make_keyring()
    assert unwrap(keyring, MODEL_KEY, make_context(0, 3)) == DATA_KEY
    assert unwrap(keyring, MODEL_KEY, make_context(4, 7)) == bytes(32)


def test_salts_make_equal_keys_unrelated() -> None:
    first = wrap_data_key(MODEL_KEY, DATA_KEY, make_context(), SALT)
    second = wrap_data_key(MODEL_KEY, DATA_KEY, make_context(), b"t" * 32)
    assert first.wrapped != second.wrapped


def test_another_model_key_is_told_apart() -> None:
    with pytest.raises(ArtifactError, match="does not open"):
        unwrap(make_keyring(), b"n" * 32, make_context(0, 3))


def test_a_wrapped_key_moved_to_another_slice_does_not_unwrap() -> None:
    keyring = make_keyring()
    moved = replace(keyring.data_keys[0], key_id=make_context(4, 7).key_id)
    with pytest.raises(ArtifactError, match="does not open"):
        unwrap(replace(keyring, data_keys=(moved,)), MODEL_KEY, make_context(4, 7))
    with pytest.raises(ArtifactError, match="does not open"):
        unwrap(keyring, MODEL_KEY, replace(make_context(0, 3), version=2))


def test_altered_wraps_do_not_unwrap() -> None:
    entry = make_keyring().data_keys[0]
    for at in (0, 31, 47):
        wrapped = bytearray(entry.wrapped)
        wrapped[at] ^= 1
        with pytest.raises(ArtifactError):
            unwrap(
                Keyring("key-file", b"blob", (replace(entry, wrapped=bytes(wrapped)),)), MODEL_KEY, make_context(0, 3)
            )


def test_a_slice_without_key() -> None:
    with pytest.raises(ArtifactError, match="no key"):
        unwrap(make_keyring(), MODEL_KEY, make_context(0, 7))


def test_broken_keyrings_cannot_be_built() -> None:
    keyring = make_keyring()
    entry = keyring.data_keys[0]
    for changes in ({"provider": "Key File"}, {"model_key": b""}, {"data_keys": (entry, entry)}):
        with pytest.raises(ArtifactError):
            replace(keyring, **changes)  # type: ignore[arg-type]
    for broken in ({"salt": b""}, {"wrapped": bytes(47)}, {"key_id": "x"}):
        with pytest.raises(ArtifactError):
            replace(entry, **broken)  # type: ignore[arg-type]
