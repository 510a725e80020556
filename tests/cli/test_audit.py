"""`mohawk audit`: what it says of a sound log and of a changed one, and how it shows entries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mohawk.audit.events import AuditEvent, EventKind
from mohawk.cli import audit
from mohawk.host.audit_file import AuditFile, head_path
from tests.cli.commands import Terminal
from tests.support.logs import NODE, NOW, WORKER, change, make_event

COUNT = 4


def write_log(path: Path) -> Path:
    file = AuditFile(path, NODE, NOW)
    file.append([make_event(number) for number in range(1, COUNT + 1)], NOW)
    file.close()
    return path


@pytest.fixture
def log(mohawk: Terminal) -> Path:
    """Where the commands look by themselves."""
    return write_log(mohawk.home / "audit" / "controller.jsonl")


def test_a_sound_log(mohawk: Terminal, log: Path) -> None:
    answer = mohawk("audit", "verify")
    assert answer.code == 0
    assert f"{COUNT} entries, unchanged" in answer.out
    found = json.loads(mohawk("audit", "verify", "--json").out)
    assert found["ok"] is True
    assert (found["entries"], found["vouched"], found["file"]) == (COUNT, COUNT, str(log))
    assert head_path(log).read_text().rstrip() == found["head"]


def test_a_log_without_its_head_is_read_and_nothing_vouches_for_its_end(mohawk: Terminal, log: Path) -> None:
    head_path(log).unlink()
    assert json.loads(mohawk("audit", "verify", log, "--json").out)["vouched"] == 0


@pytest.mark.parametrize("index", range(COUNT))
def test_the_first_bad_entry_is_named_with_exit_code_5(mohawk: Terminal, log: Path, index: int) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    lines[index] = change(lines[index], "subject", "x")
    log.write_bytes(b"".join(lines))
    answer = mohawk("audit", "verify", log)
    assert answer.code == 5
    assert f"first bad entry is number {index + 1} (edited)" in answer.err
    answer = mohawk("audit", "verify", log, "--json")
    assert answer.code == 5
    found = json.loads(answer.out)
    assert (found["ok"], found["first_bad"], found["fault"]) == (False, index + 1, "edited")


def test_a_rewritten_log_is_exposed_by_a_head_noted_elsewhere(mohawk: Terminal, log: Path) -> None:
    noted = json.loads(mohawk("audit", "verify", log, "--json").out)["head"]
    log.unlink()
    head_path(log).unlink()
    forged = AuditFile(log, NODE, NOW)
    forged.append([make_event(9)] * COUNT, NOW)
    forged.close()
    assert mohawk("audit", "verify", log).code == 0
    answer = mohawk("audit", "verify", log, "--head", noted)
    assert answer.code == 5
    assert f"number {COUNT} (edited)" in answer.err


@pytest.mark.parametrize("arguments", [("verify", "--head", "5"), ("verify", "nowhere"), ("tail", "nowhere")])
def test_what_was_typed_wrong(mohawk: Terminal, log: Path, arguments: tuple[str, ...]) -> None:
    answer = mohawk("audit", *arguments)
    assert answer.code == 2
    assert "hint: " in answer.err


def test_the_last_entries_are_shown(mohawk: Terminal, log: Path) -> None:
    rows = mohawk("audit", "tail", "-n", "2").out.splitlines()
    assert [row.split()[0] for row in rows] == ["3", "4"]
    assert all("key-released" in row and WORKER in row for row in rows)
    assert "slice=slice_4_4" in rows[1]
    assert "\x1b" not in "".join(rows), "colours are for terminals"
    assert mohawk("audit", "tail", "-n", "0").out == ""


def test_entries_as_json_are_the_lines_themselves(mohawk: Terminal, log: Path) -> None:
    assert mohawk("audit", "tail", "--json").out == log.read_text()


def test_a_line_that_is_no_entry_is_said_to_be_none_and_not_repeated(mohawk: Terminal, log: Path) -> None:
    log.write_bytes(log.read_bytes() + b"\x1b[2Jforged\n")
    assert "unreadable line of 11 bytes" in mohawk("audit", "tail", "-n", "1").out
    assert json.loads(mohawk("audit", "tail", "-n", "1", "--json").out) == {"unreadable": 11}


def test_following_shows_what_is_written_meanwhile_and_no_half_lines(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each pause, the writer gets a little further."""
    whole = log.read_bytes()
    pieces = [whole[:50], whole[50:], b""]

    def write_on(_seconds: float) -> None:
        with log.open("ab") as file:
            file.write(pieces.pop(0))

    monkeypatch.setattr(audit.time, "sleep", write_on)
    lines = audit._last_lines(log, 1, follow=True)
    assert [next(lines) for _ in range(1 + COUNT)] == [*whole.splitlines(keepends=True)[-1:], *whole.splitlines(True)]
    assert pieces == [b""], "not before the line was whole"
    lines.close()


def test_a_long_log_is_not_read_from_its_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mohawk.audit.chain.MAXIMUM_LINE", 400)
    file = AuditFile(tmp_path / "audit.jsonl", NODE, NOW)
    file.append([AuditEvent(EventKind.STARTED, NODE)] * 50, NOW)
    file.close()
    whole = (tmp_path / "audit.jsonl").read_bytes().splitlines(keepends=True)
    assert list(audit._last_lines(tmp_path / "audit.jsonl", 3, follow=False)) == whole[-3:]


def test_a_join_token_is_on_record_before_it_is_shown(mohawk: Terminal) -> None:
    assert mohawk("pki", "init", "--domain", "mesh.example").code == 0
    shown = json.loads(mohawk("pki", "token", "w1", "--controller", "10.0.0.5:8002", "--json").out)
    path = mohawk.home / "audit" / "commands.jsonl"
    assert mohawk("audit", "verify", path).code == 0
    _, entry = (json.loads(line) for line in mohawk("audit", "tail", path, "--json").out.splitlines())
    assert (entry["kind"], entry["subject"]) == ("token-issued", "spiffe://mesh.example/worker/w1")
    assert entry["details"]["token"] == shown["id"]
    assert entry["node"].startswith("command:uid-")
    assert shown["token"] not in path.read_text(), "its id is no secret; it is"


def test_no_token_is_issued_that_cannot_be_recorded(mohawk: Terminal) -> None:
    assert mohawk("pki", "init", "--domain", "mesh.example").code == 0
    (mohawk.home / "audit" / "commands.jsonl").write_text("somebody was here\n")
    answer = mohawk("pki", "token", "w1", "--controller", "10.0.0.5:8002")
    assert answer.code == 6
    assert answer.out == ""
    assert "mohawk audit verify" in answer.err
