"""Identifiers: parsed or refused with RemoteError, and never two spellings for one thing."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from mohawk.errors import RemoteError
from mohawk.ids import check_digest, check_model_id, check_node_name, parse_slice_id, slice_id


@settings(max_examples=200)
@given(st.one_of(st.text(max_size=80), st.from_regex(r"slice_\d{1,6}_\d{1,6}\n?", fullmatch=True)))
def test_a_slice_id_has_one_spelling(text: str):
    with contextlib.suppress(RemoteError):
        first, last = parse_slice_id(text)
        assert slice_id(first, last) == text
        assert first <= last


@settings(max_examples=200)
@given(st.integers(0, 99_999), st.integers(0, 99_999))
def test_every_ordered_pair_has_a_slice_id(first: int, last: int):
    if first <= last:
        assert parse_slice_id(slice_id(first, last)) == (first, last)


@settings(max_examples=200)
@given(st.text(max_size=80))
def test_names_that_pass_are_harmless_in_paths_and_logs(text: str):
    for check in (check_node_name, check_model_id, check_digest):
        with contextlib.suppress(RemoteError):
            name = check(text)
            assert name.isascii()
            assert name.isprintable()
            assert not set(name) & set("/\\ \"'")
            assert ".." not in name
            assert len(name) <= 64
