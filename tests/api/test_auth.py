"""API keys: what is held of them, and what is compared."""

from __future__ import annotations

import pytest

from mohawk.api.auth import ApiKeys, digest_key, generate_key
from mohawk.errors import AuthenticationError


def test_keys_are_long_and_different() -> None:
    keys = {generate_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("mk-") and len(key) == 46 for key in keys)


def test_only_digests_are_held() -> None:
    key = generate_key()
    keys = ApiKeys([digest_key(generate_key()), digest_key(key)])
    keys.check([(b"authorization", f"Bearer {key}".encode())])
    assert key not in repr(vars(keys))


def test_no_keys_let_nobody_in() -> None:
    with pytest.raises(AuthenticationError):
        ApiKeys([]).check([(b"authorization", b"Bearer mk-x")])


@pytest.mark.parametrize("value", [b"Bearer \xff\xfe", b"Bearer\tmk", b"", b"Bearer mk- x"])
def test_odd_values_are_refused(value: bytes) -> None:
    with pytest.raises(AuthenticationError):
        ApiKeys([digest_key("mk-")]).check([(b"authorization", value)])
