"""Whatever bytes lie in an audit log, each line is an entry or refused; no change to a log goes unnoticed under its head."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mohawk.audit.chain import START, BrokenLogError, Head, append, parse_entry, verify
from mohawk.audit.events import MAXIMUM_TEXT, AuditEvent, EventKind
from mohawk.errors import ArtifactError, UsageError
from tests.support.logs import NODE, NOW, make_log

LINES, HEAD = make_log(5)
LOG = b"".join(LINES)
TEXTS = st.text(st.characters(), max_size=MAXIMUM_TEXT)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def parse_or_refuse(line: bytes) -> None:
    try:
        entry = parse_entry(line)
    except ArtifactError:
        return
    again, _ = append(Head(entry.number - 1, entry.previous), entry.event, entry.node, entry.time)
    assert again == line


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_any_bytes(data: bytes) -> None:
    parse_or_refuse(data)
    parse_or_refuse(data + b"\n")


@given(st.sampled_from(sorted(json.loads(LINES[0]))), VALUES)
@settings(max_examples=300)
def test_any_value_in_any_field(field: str, value: object) -> None:
    changed = json.loads(LINES[0]) | {field: value}
    parse_or_refuse(json.dumps(changed, sort_keys=True, separators=(",", ":")).encode() + b"\n")


@given(st.integers(0, len(LOG) - 1), st.integers(1, 255))
@settings(max_examples=300)
def test_any_byte_changed(at: int, change: int) -> None:
    data = bytearray(LOG)
    data[at] ^= change
    must_be_noticed(bytes(data))


@given(st.integers(0, len(LOG)), st.integers(0, len(LOG)), st.binary(max_size=40))
@settings(max_examples=300)
def test_any_piece_replaced(begin: int, end: int, piece: bytes) -> None:
    assume(begin <= end and LOG[begin:end] != piece)
    must_be_noticed(LOG[:begin] + piece + LOG[end:])


@given(st.lists(st.sampled_from(LINES), max_size=7))
@settings(max_examples=200)
def test_any_other_choice_of_its_lines(lines: list[bytes]) -> None:
    assume(lines != LINES)
    must_be_noticed(b"".join(lines))


@given(TEXTS, st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True), TEXTS, max_size=16))
@settings(max_examples=100)
def test_any_event_becomes_one_line_of_printable_ascii(subject: str, details: dict[str, str]) -> None:
    event = AuditEvent(EventKind.ACCESS_REFUSED, subject, details)
    line, head = append(START, event, NODE, NOW)
    assert all(0x20 <= byte < 0x80 for byte in line[:-1])
    assert verify([line], head) == head
    assert parse_entry(line).event == event


@given(st.text(max_size=600), st.dictionaries(st.text(max_size=40), st.text(max_size=600), max_size=20))
@settings(max_examples=200)
def test_any_texts_make_an_event_or_are_our_mistake(subject: str, details: dict[str, str]) -> None:
    try:
        event = AuditEvent(EventKind.ACCESS_REFUSED, subject, details)
    except UsageError:
        return
    assert verify([append(START, event, NODE, NOW)[0]]).count == 1


@given(st.text(max_size=100))
@settings(max_examples=100)
def test_any_text_as_a_head(text: str) -> None:
    try:
        assert str(Head.parse(text)) == text
    except ArtifactError:
        return


def must_be_noticed(log: bytes) -> None:
    with pytest.raises(BrokenLogError) as broken:
        verify(io.BytesIO(log), HEAD)
    assert 1 <= broken.value.number <= len(LINES) + 2
