"""Protects the header: one spelling, no contradiction, sizes that follow from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mohawk.artifact.sealed_slice import MAGIC, MAXIMUM_PREFIX, SliceHeader, parse_header, prefix_size
from mohawk.errors import ArtifactError, RemoteError
from mohawk.nouns.model import LayerRange
from tests.support.slices import make_context

HEADER = SliceHeader(make_context(), bytes(32), bytes(16))


def test_round_trip_and_size() -> None:
    data = HEADER.encode()
    assert parse_header(data) == HEADER
    assert parse_header(data + b"body") == HEADER
    assert len(data) == prefix_size(HEADER.context) <= MAXIMUM_PREFIX


def test_the_context_is_spelled_as_the_spec_says() -> None:
    assert make_context().encode() == (
        b'{"bytes":197608,"chunks":4,"dtype":"BF16","key":"%b","layers":8,"model":"tiny","revision":"%b",'
        b'"slice":"slice_0_7","version":1}' % (make_context().key_id.encode(), b"ab" * 32)
    )


def test_every_field_changes_the_key() -> None:
    context = make_context()
    others = (
        replace(context, model_id="other"),
        replace(context, revision="cd" * 32),
        replace(context, version=2),
        replace(context, layers=LayerRange(0, 6)),
        replace(context, plaintext_bytes=1),
        replace(context, key_id="00" * 16),
    )
    assert len({item.stream_info() for item in (context, *others)}) == 7


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"chunks":4', b'"chunks":5'),
        (b'"layers":8', b'"layers":9'),
        (b'"slice":"slice_0_7"', b'"slice":"slice_7_0"'),
        (b'"slice":"slice_0_7"', b'"slice":"slice_0_07"'),
        (b'"dtype":"BF16"', b'"dtype":"F64"'),
        (b'"version":1', b'"version":0'),
        (b'"bytes":197608', b'"bytes":0'),
        (b'"model":"tiny"', b'"model":"../x"'),
        (b'"version":1', b'"version": 1'),
    ],
)
def test_contradictions_and_bad_values_are_refused(old: bytes, new: bytes) -> None:
    context = HEADER.context.encode()
    assert old in context
    altered = context.replace(old, new)
    with pytest.raises(RemoteError):
        parse_header(MAGIC + len(altered).to_bytes(4, "big") + altered + bytes(48))


@pytest.mark.parametrize("length", [0, 1, 1024, 1025, 2**31, 2**32 - 1])
def test_a_lying_length_is_refused(length: int) -> None:
    data = HEADER.encode()
    with pytest.raises(ArtifactError):
        parse_header(data[:16] + length.to_bytes(4, "big") + data[20:])


def test_every_truncation_is_refused() -> None:
    data = HEADER.encode()
    for size in range(len(data)):
        with pytest.raises(RemoteError):
            parse_header(data[:size])


@pytest.mark.parametrize("changes", [{"version": 0}, {"version": 2**53}, {"plaintext_bytes": 0}, {"key_id": "x"}])
def test_impossible_contexts_cannot_be_built(changes: dict[str, object]) -> None:
    with pytest.raises(ArtifactError):
        replace(make_context(), **changes)  # type: ignore[arg-type]
