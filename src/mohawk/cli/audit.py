"""`mohawk audit`: read the log of what happened, and find out whether it was changed. Works on a copied file too."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mohawk.cli.output import console, json_text, print_json
from mohawk.cli.places import Places
from mohawk.errors import ArtifactError, UsageError

if TYPE_CHECKING:
    from rich.text import Text

    from mohawk.audit.chain import Entry, Head

app = typer.Typer(help="Verify and read the tamper-evident audit log.", no_args_is_help=True)

FileArgument = Annotated[Path | None, typer.Argument(help="Log file (default: the controller's, in MIE_HOME).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document; one a line where there are many.")]
FOLLOW_SECONDS = 0.5
_ALARMING = ("refused", "cut", "failed", "revoked", "destroyed", "repaired")
"""In an event's kind: shown in red on a terminal."""


@app.command()
def verify(
    file: FileArgument = None,
    head: Annotated[str, typer.Option(help="COUNT:HASH that was noted elsewhere (default: the file beside it).")] = "",
    json: JsonOption = False,
) -> None:
    """Check every entry against those behind it and the head. Exit code 5 when the log was changed; the first bad entry
    is named."""
    from mohawk.audit import chain
    from mohawk.audit.chain import BrokenLogError
    from mohawk.host.audit_file import read_lines
    from mohawk.host.files import open_regular

    path = _existing(file)
    known = _parse_head(head) if head else _head_beside(path)  # before the log: a node may be writing to both
    try:
        with open_regular(path) as descriptor:
            found = chain.verify(read_lines(descriptor), known)
    except BrokenLogError as error:
        if not json:
            raise
        print_json({"file": str(path), "first_bad": error.number, "fault": str(error.fault), "ok": False})
        raise typer.Exit(error.exit_code) from None
    vouched = known.count if known is not None else 0
    if json:
        print_json({"file": str(path), "head": str(found), "entries": found.count, "vouched": vouched, "ok": True})
        return
    end = f"a head vouches for {vouched}" if known is not None else "without a head, missing last ones would not show"
    typer.echo(f"{path}: {found.count} entries, unchanged since they were written; {end}")
    typer.echo(f"head {found}")
    typer.echo("next: note the head on another machine; `mohawk audit verify --head` then also notices a rewritten log")


@app.command()
def tail(
    file: FileArgument = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="So many of the last entries.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    json: JsonOption = False,
) -> None:
    """Show the last entries. Reading is not verifying: see `mohawk audit verify`."""
    path = _existing(file)
    for line in _last_lines(path, lines, follow=follow):
        if json:
            sys.stdout.write(_as_json(line) + "\n")
            sys.stdout.flush()
        else:
            console().print(_as_text(line))


def _existing(file: Path | None) -> Path:
    path = file or Places.load().audit
    if not path.exists():
        hint = "a controller writes one when it runs; a worker's is audit.jsonl in its store"
        raise UsageError(f"there is no audit log at {path}", hint=hint, field="file")
    return path


def _parse_head(text: str) -> Head:
    from mohawk.audit.chain import Head

    try:
        return Head.parse(text)
    except ArtifactError as error:
        raise UsageError(error.message, hint=error.hint, field="head") from None


def _head_beside(path: Path) -> Head | None:
    """None where the log was copied without its head."""
    from mohawk.host.audit_file import head_path, read_head

    return read_head(path) if head_path(path).exists() else None


def _last_lines(path: Path, count: int, *, follow: bool) -> Iterator[bytes]:
    """The last `count` whole lines; then, if asked, each that is written."""
    from collections import deque

    from mohawk.audit.chain import MAXIMUM_LINE
    from mohawk.host.audit_file import read_lines
    from mohawk.host.files import open_regular

    with open_regular(path) as descriptor:
        offset = max(0, path.stat().st_size - (count + 1) * MAXIMUM_LINE)
        last: deque[bytes] = deque(maxlen=count)
        for line in read_lines(descriptor, offset):
            if line.endswith(b"\n"):
                offset += len(line)
                last.append(line)
        yield from last
        while follow:
            for line in read_lines(descriptor, offset):
                if line.endswith(b"\n"):
                    offset += len(line)
                    yield line
            time.sleep(FOLLOW_SECONDS)


def _parse(line: bytes) -> Entry | None:
    from mohawk.audit.chain import parse_entry

    try:
        return parse_entry(line)
    except ArtifactError:
        return None


def _as_json(line: bytes) -> str:
    """An entry is a JSON document already; what is none is said to be none, and not repeated."""
    return line.decode("ascii").rstrip("\n") if _parse(line) is not None else json_text({"unreadable": len(line)})


def _as_text(line: bytes) -> Text:
    from rich.text import Text

    entry = _parse(line)
    if entry is None:
        return Text(f"an unreadable line of {len(line)} bytes: see `mohawk audit verify`", style="bold red")
    kind = entry.event.kind.value
    style = "red" if any(word in kind for word in _ALARMING) else "green"
    details = "  ".join(f"{name}={printable(value)}" for name, value in entry.event.details.items())
    return Text.assemble(
        (f"{entry.number:>7}  {entry.time:%Y-%m-%d %H:%M:%S.%f}  ", "dim"),
        (f"{kind:<18}  ", style),
        printable(entry.event.subject),
        (f"  {details}" if details else "", "dim"),
    )


def printable(text: str) -> str:
    """Whatever could move a cursor, change a colour or turn the writing direction, as an escape (I10)."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text)
