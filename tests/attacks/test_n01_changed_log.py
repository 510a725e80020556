"""N01: somebody edits, deletes, reorders or cuts off entries of an audit log.

Expected: the verifier names the first bad entry, at every place of the log, and a node does not start on such a log.

Defence: audit/chain.py:verify (each entry's hash in the next, and the head); removed, a key release is gone from the log
and nobody ever knows.
Defence: host/audit_file.py:_read_sound; removed, a node goes on writing behind the gap and buries it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mohawk.audit.chain import BrokenLogError, Fault, verify
from mohawk.errors import HostError
from mohawk.host.audit_file import AuditFile, head_path
from tests.support.logs import NODE, NOW, change, make_event, make_log, moved, without

COUNT = 6
LINES, HEAD = make_log(COUNT)
EVERYWHERE = pytest.mark.parametrize("index", range(COUNT))
FORGED = {
    "kind": "stopped",
    "node": "spiffe://mesh.example/controller/c9",
    "subject": "spiffe://mesh.example/worker/w9",
    "details": {"slice": "slice_9_9"},
    "time": "2026-11-25T11:00:00.000000Z",
    "previous": "0" * 64,
}


def first_bad(lines: list[bytes]) -> tuple[int, Fault]:
    with pytest.raises(BrokenLogError) as broken:
        verify(lines, HEAD)
    return broken.value.number, broken.value.fault


@EVERYWHERE
@pytest.mark.parametrize("field", FORGED)
def test_an_edited_entry_is_named(index: int, field: str) -> None:
    lines = [*LINES]
    lines[index] = change(lines[index], field, FORGED[field])
    assert first_bad(lines) == (index + 1, Fault.EDITED)


@EVERYWHERE
def test_an_entry_with_another_number_is_named(index: int) -> None:
    lines = [*LINES]
    lines[index] = change(lines[index], "number", 77)
    last = index == COUNT - 1  # nothing stands behind it that could tell it from a gap
    assert first_bad(lines) == (index + 1, Fault.DELETED if last else Fault.EDITED)


@EVERYWHERE
def test_a_deleted_entry_is_named(index: int) -> None:
    last = index == COUNT - 1
    assert first_bad(without(LINES, index)) == (index + 1, Fault.TRUNCATED if last else Fault.DELETED)


@EVERYWHERE
def test_a_deleted_entry_is_named_when_the_others_are_numbered_anew(index: int) -> None:
    lines = without(LINES, index)
    numbered = [change(line, "number", place) for place, line in enumerate(lines, start=1)]
    assert first_bad(numbered)[0] == index + 1


@pytest.mark.parametrize(("source", "target"), [(s, t) for s in range(COUNT) for t in range(COUNT) if s != t])
def test_the_first_place_of_a_reordering_is_named(source: int, target: int) -> None:
    assert first_bad(moved(LINES, source, target)) == (min(source, target) + 1, Fault.REORDERED)


@EVERYWHERE
def test_a_repeated_entry_is_named(index: int) -> None:
    lines = [*LINES[: index + 1], *LINES[index:]]
    if index == COUNT - 1:
        assert verify(LINES, HEAD) == HEAD
    assert first_bad(lines) == (index + 2, Fault.REPEATED)


@EVERYWHERE
def test_a_log_cut_off_at_an_entry_is_named(index: int) -> None:
    assert first_bad(LINES[:index]) == (index + 1, Fault.TRUNCATED)


@EVERYWHERE
def test_a_log_cut_off_inside_an_entry_is_named(index: int) -> None:
    assert first_bad([*LINES[:index], LINES[index][:-20]]) == (index + 1, Fault.CUT_OFF)


@EVERYWHERE
def test_an_entry_overwritten_with_anything_is_named(index: int) -> None:
    for garbage in (b"\n", b"\0" * 40 + b"\n", LINES[index][:-1] + b" \n", b"{}\n"):
        assert first_bad([*LINES[:index], garbage, *LINES[index + 1 :]]) == (index + 1, Fault.UNREADABLE)


@EVERYWHERE
def test_without_a_head_the_end_is_not_vouched_for(index: int) -> None:
    """The limit of this defence, and why a head is kept elsewhere."""
    assert verify(LINES[:index]).count == index


def write(path: Path, lines: list[bytes]) -> None:
    path.write_bytes(b"".join(lines))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Written by a node that has stopped."""
    path = tmp_path / "audit.jsonl"
    file = AuditFile(path, NODE, NOW)
    file.append([make_event(number) for number in range(1, COUNT + 1)], NOW)
    file.close()
    return path


@EVERYWHERE
@pytest.mark.parametrize("attack", ["edit", "delete", "swap", "truncate"])
def test_a_node_does_not_start_on_a_changed_log(log: Path, index: int, attack: str) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    changed = {
        "edit": [*lines[:index], change(lines[index], "subject", "x"), *lines[index + 1 :]],
        "delete": without(lines, index),
        "swap": moved(lines, index, (index + 1) % COUNT),
        "truncate": lines[:index],
    }[attack]
    write(log, changed)
    with pytest.raises(HostError, match="is not as it was written"):
        AuditFile(log, NODE, NOW)
    assert log.read_bytes() == b"".join(changed), "evidence is left as it is"


@pytest.mark.parametrize("missing", ["head", "log", "damaged head"])
def test_nor_when_log_or_head_were_taken_away(log: Path, missing: str) -> None:
    if missing == "damaged head":
        head_path(log).write_text("nothing\n")
    else:
        (head_path(log) if missing == "head" else log).unlink()
    with pytest.raises(HostError, match="is not as it was written"):
        AuditFile(log, NODE, NOW)
