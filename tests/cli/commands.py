"""`mohawk` commands inside the test's process: their exit code, and what they said on each stream."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mohawk.cli.main import app
from mohawk.cli.output import print_error
from mohawk.errors import MohawkError


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Terminal:
    """Types commands; `home` is MIE_HOME."""

    home: Path
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: object) -> Answer:
        """As `mohawk.cli.main.main` does it: errors become a message, a hint and an exit code."""
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        error = result.exception
        if isinstance(error, MohawkError):
            print_error(error)
            return Answer(error.exit_code, result.stdout, self.capsys.readouterr().err)
        if error is not None and not isinstance(error, SystemExit):
            raise error
        return Answer(result.exit_code, result.stdout, result.stderr)
