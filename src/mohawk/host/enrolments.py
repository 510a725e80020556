"""Which TPM belongs to which node, on the controller's disk: a file for each node, replaced whole
(docs/spec/attestation.md 2.6).

Rules, and the attack or accident each stops:

1. Verifier and releaser read the same record, here; changes are made under a lock and only to the record that was
   judged (T12).
2. A TPM stands in one record, and a node in one: a second TPM for a name, or a second name for a TPM, asks for
   removing the first, which is an act of its own.
3. Counters only rise on disk as well (T13).
4. Whose TPM an operator named, and whose record was removed, is on record before it counts (N04).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mohawk.attestation.enrolment import MAXIMUM_RECORD, Enrolment, parse_enrolment
from mohawk.audit.events import AuditEvent, EventKind, RecordEvent
from mohawk.errors import HostError, NotFoundError, PolicyError, RemoteError, UsageError
from mohawk.host.authority import AuthorityFolder
from mohawk.host.files import make_private_folder, open_regular, read_file, translate_errors, write_file
from mohawk.identity.names import NodeName
from mohawk.ids import check_digest

_SUFFIX = ".json"
_LOCK = ".lock"


class Enrolments:
    """The records in one folder (0700)."""

    def __init__(self, folder: Path) -> None:
        make_private_folder(folder)
        self._folder = folder

    def find(self, name: NodeName) -> Enrolment | None:
        """This node's record, None when it has none. Raises HostError: unreadable, or another node's."""
        path = self._path(name)
        if not path.exists():
            return None
        record = _read(path)
        if record.name != name:
            raise HostError(f"{path.name} holds the enrolment of another node", hint="restore it from a backup")
        return record

    def all(self) -> tuple[Enrolment, ...]:
        with translate_errors("listing enrolments"):
            return tuple(map(_read, sorted(self._folder.glob(f"*{_SUFFIX}"))))

    def expect(self, name: NodeName, ek_hash: str, record: RecordEvent) -> None:
        """An operator says that this node's TPM is the one of this endorsement key (SHA-256, hexadecimal): it may enrol
        when it connects. Raises UsageError, PolicyError (it is enrolled already), HostError.
        """
        try:
            check_digest(ek_hash)
        except RemoteError:
            raise UsageError("an EK hash is 64 hexadecimal digits", hint="mohawk attest show, there") from None
        with self._locked():
            if self._path(name).exists():
                raise PolicyError(f"{name} is enrolled already", hint="remove that first: mohawk attest remove")
            record(AuditEvent(EventKind.TPM_NAMED, str(name), {"tpm": ek_hash}))
            write_file(self._expected_path(name), ek_hash.encode("ascii"))

    def expected(self, name: NodeName) -> str | None:
        """The endorsement key that this node may enrol with; None when nobody said. Raises HostError."""
        path = self._expected_path(name)
        return read_file(path, 64).decode("ascii", "replace") if path.exists() else None

    def add(self, record: Enrolment) -> None:
        """Raises PolicyError: the node, or its TPM, is enrolled already."""
        with self._locked():
            for known in self.all():
                if record.name == known.name or record.ek_hash == known.ek_hash:
                    raise PolicyError(
                        f"{known.name} is enrolled with a TPM already",
                        hint="if the machine was replaced on purpose, remove its enrolment first",
                    )
            write_file(self._path(record.name), record.encode())
            self._expected_path(record.name).unlink(missing_ok=True)

    def advance(self, record: Enrolment) -> None:
        """Keep a verdict's counters. Raises PolicyError: the record is not the one that was judged any more;
        EvidenceError(COUNTER): a later quote was judged meanwhile, and this is the older.
        """
        with self._locked():
            known = self.find(record.name)
            if known is None or known.binding() != record.binding():
                raise PolicyError("this node's enrolment changed while it was judged", hint="ask again")
            write_file(self._path(record.name), known.advanced(record.counters).encode())

    def remove(self, name: NodeName, record: RecordEvent) -> None:
        """Also one that is damaged. Raises NotFoundError: there is none; HostError."""
        with self._locked():
            if not self._path(name).exists():
                raise NotFoundError(f"{name} is not enrolled")
            record(AuditEvent(EventKind.ENROLMENT_REMOVED, str(name)))
            with translate_errors("removing an enrolment"):
                self._path(name).unlink()

    def _path(self, name: NodeName) -> Path:
        return self._folder / f"{name.role}.{name.name}{_SUFFIX}"

    def _expected_path(self, name: NodeName) -> Path:
        return self._folder / f"{name.role}.{name.name}.expected"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time, other processes' included."""
        with open_regular(self._folder / _LOCK, os.O_RDWR | os.O_CREAT) as descriptor:
            with translate_errors("locking enrolments"):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield


def open_enrolments(authority: AuthorityFolder) -> Enrolments:
    """Where this authority keeps which TPM is whose. Raises HostError."""
    return Enrolments(authority.folder / "enrolments")


def _read(path: Path) -> Enrolment:
    try:
        return parse_enrolment(read_file(path, MAXIMUM_RECORD))
    except RemoteError:
        raise HostError(f"{path.name}, an enrolment, is damaged", hint="restore it, or enrol the node anew") from None
