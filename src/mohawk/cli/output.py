"""How commands speak: tables and colours on a terminal, one JSON document with --json, errors with a next step on
stderr.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mohawk.errors import MohawkError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

EXIT_INTERRUPTED = 130
PIPE_WIDTH = 400
"""Columns where nobody looks at the width: a table in a pipe keeps one row on one line."""


def console(*, stderr: bool = False) -> Console:
    """Rich decides by itself: colours only on a terminal, and never when NO_COLOR is set."""
    from rich.console import Console

    out = Console(stderr=stderr, highlight=False, soft_wrap=True)
    if not out.is_terminal:
        out.width = PIPE_WIDTH
    return out


def write_text(text: str) -> None:
    """What a model said, onto stdout at once. A terminal obeys control characters, and whoever steers the model must
    not steer the terminal: all but newline and tab become U+FFFD there.
    """
    if sys.stdout.isatty():
        text = "".join(c if c in "\n\t" or unicodedata.category(c) != "Cc" else "\ufffd" for c in text)
    sys.stdout.write(text)
    sys.stdout.flush()


def json_text(document: object) -> str:
    """One JSON document on one line."""
    return json.dumps(document, sort_keys=True)


def print_json(document: object) -> None:
    """One JSON document on stdout, at once: whoever reads a pipe waits for it."""
    sys.stdout.write(json.dumps(document, indent=2, sort_keys=True) + "\n")
    sys.stdout.flush()


def print_error(error: MohawkError) -> None:
    """The error and its hint, on stderr. Plain text: nothing in it is markup, whatever a name may look like."""
    from rich.text import Text

    out = console(stderr=True)
    out.print(Text.assemble(("error: ", "bold red"), error.message))
    if error.hint:
        out.print(Text.assemble(("hint: ", "bold"), error.hint))


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """A table on stdout; plain columns when it is not a terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, style=None, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    console().print(table)


def human_bytes(count: float) -> str:
    """1536 -> `1.5 KiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Bars with rate and time left on stderr, one per name, gone when finished; silent where stderr is not a terminal.

    Yields a function of (what, bytes done, bytes in all).
    """
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    out = console(stderr=True)
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=total, visible=done < total)

        yield report
