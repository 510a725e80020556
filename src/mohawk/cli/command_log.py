"""The audit log of commands that change something by themselves, without a running node."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mohawk.cli.places import Places

if TYPE_CHECKING:
    from mohawk.audit.events import AuditEvent, RecordEvent


@contextmanager
def command_log() -> Iterator[RecordEvent]:
    """Writes what this command does, before it does it. Waits for other commands that are writing. Raises HostError."""
    from mohawk.host.audit_file import AuditFile

    user = f"command:uid-{os.geteuid()}"
    with closing(AuditFile(Places.load().command_audit, user, datetime.now(UTC), waits=True)) as file:

        def record(event: AuditEvent) -> None:
            file.append([event], datetime.now(UTC))

        yield record
