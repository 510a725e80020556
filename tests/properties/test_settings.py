"""Whatever stands in the environment, settings are within their bounds or refused; a mandatory protection is never off."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mohawk.config import Settings, load_settings, variable
from mohawk.errors import UsageError

NAMES = [variable(name) for name in Settings.model_fields]
VALUES = (
    st.sampled_from(["true", "false", "1", "0", "", "5", "3600", "/etc/mohawk/worker.key", "1e3", "１"])
    | st.integers().map(str)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
)


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    for name in before:
        if name.upper().startswith("MIE_"):
            del os.environ[name]
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4))
@settings(max_examples=300)
def test_any_values(values: dict[str, str]) -> None:
    with environment(values):
        try:
            found = load_settings()
        except UsageError:
            return
    assert found.enable_pqc
    assert found.replay_protection_enabled
    assert found.weight_encryption_enabled
    assert 60 <= found.nonce_expiry_seconds <= 86_400
    assert 1 <= found.circuit_breaker_threshold <= 100
    assert 1 <= found.max_concurrent_sessions <= 100_000
    assert (found.worker_cert_path is None) == (found.worker_key_path is None)


@given(st.text(st.characters(exclude_characters="\0=", exclude_categories=["Cs"]), max_size=30))
@settings(max_examples=200)
def test_any_name_behind_the_prefix_is_known_or_refused(rest: str) -> None:
    known = f"MIE_{rest}" in NAMES
    with environment({f"MIE_{rest}": "true"}), nullcontext() if known else pytest.raises(UsageError) as refusal:
        load_settings()
    assert known or (refusal is not None and refusal.value.message.isprintable())
