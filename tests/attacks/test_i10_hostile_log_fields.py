"""I10: a field that reaches the log holds CR and LF, ANSI sequences, or characters that turn the writing direction.

Expected: in the file each is an escape within one line; on a terminal each is shown as an escape.

Defence: audit/chain.py:append (canonical JSON); removed, a name with a newline writes an entry of its own.
Defence: cli/audit.py:printable; removed, `mohawk audit tail` executes what an attacker put into the log.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mohawk.audit.chain import START, append, parse_entry, verify
from mohawk.audit.events import AuditEvent, EventKind
from mohawk.cli.audit import _as_text
from mohawk.errors import PolicyError
from mohawk.host.audit_file import AuditFile, read_lines
from mohawk.host.files import open_regular
from mohawk.transport.refusals import describe_refusal
from tests.support.logs import NODE, NOW, make_log

NAMES = ["forged line", "screen", "title", "C1", "direction", "controls"]
HOSTILE = [
    "w1\r\n" + make_log(1)[0][0].decode(),
    "\x1b[2J\x1b[1;1H\x1b[32mall is well",
    "\x1b]0;title\x07",
    "\x9b31m",
    "name\u202egnp.exe",
    "\x00\x08\x7f\u2028\u2029\ud800",
]


def made_of(text: str) -> AuditEvent:
    return AuditEvent(EventKind.ACCESS_REFUSED, text, {"reason": text})


@pytest.mark.parametrize("text", HOSTILE, ids=NAMES)
def test_a_field_forges_no_line(text: str) -> None:
    line, head = append(START, made_of(text), NODE, NOW)
    assert line.count(b"\n") == 1
    assert all(0x20 <= byte < 0x80 for byte in line[:-1])
    assert verify([line], head) == head
    assert parse_entry(line).event == made_of(text), "nothing is lost either"


def test_nor_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    file = AuditFile(path, NODE, NOW)
    file.append(map(made_of, HOSTILE), NOW)
    file.close()
    with open_regular(path) as descriptor:
        assert [parse_entry(line).event.subject for line in read_lines(descriptor)] == HOSTILE


@pytest.mark.parametrize("text", HOSTILE, ids=NAMES)
def test_a_terminal_is_shown_escapes_and_obeys_none(text: str) -> None:
    line, _ = append(START, made_of(text), NODE, NOW)
    shown = _as_text(line).plain
    assert shown.isprintable()
    assert "\\" in shown


def test_an_error_s_text_does_not_reach_the_log() -> None:
    """It may quote what a peer sent; the word for it may not."""
    event = describe_refusal("10.0.0.9", PolicyError("no \r\n entry \x1b[2J"), None)
    assert event == AuditEvent(EventKind.CONNECTION_REFUSED, "10.0.0.9", {"reason": "refused_by_policy"})
