"""Who is denied, as the operator's authority remembers it: entries, and the number of the last list that was issued.

The number is written before the list leaves: after any crash the next list has a higher one than every list before.
"""

from __future__ import annotations

from datetime import UTC, datetime

from mohawk.crypto import canonical
from mohawk.errors import ArtifactError, HostError, UsageError
from mohawk.host.authority import MAXIMUM_FILE, AuthorityFolder
from mohawk.host.files import read_file, write_file
from mohawk.host.parsed_file import ParsedFile
from mohawk.identity.denylist import MAXIMUM_ENTRIES, Denial, check_room, issue_deny_list

_NAME = "denials.json"


class Revocations:
    """Denials of one authority. Several processes may hold one: each change is made under the folder's lock."""

    def __init__(self, authority: AuthorityFolder) -> None:
        self._authority = authority
        self._path = authority.folder / _NAME
        self._file = ParsedFile(self._path, self._parse)

    def denials(self) -> tuple[Denial, ...]:
        return self._file.read()[1]

    def deny(self, subject: str, reason: str, now: datetime, reserve: int = 0) -> None:
        """Raises UsageError (no name or serial; no room, `reserve` bytes kept free), HostError. Denying twice keeps the
        first entry.
        """
        entry = Denial(subject, now.astimezone(UTC).replace(microsecond=0), reason)
        with self._authority.locked():
            number, denials = self._file.read()
            if all(denial.subject != subject for denial in denials):
                check_room((*denials, entry), reserve)
                self._write(number, (*denials, entry))

    def lift(self, subject: str) -> None:
        """Raises UsageError when nobody of that name is denied."""
        with self._authority.locked():
            number, denials = self._file.read()
            left = tuple(denial for denial in denials if denial.subject != subject)
            if left == denials:
                raise UsageError("nobody of that name is revoked", hint="see `mohawk pki list`", field="name")
            self._write(number, left)

    def issue(self, now: datetime) -> bytes:
        """The next list, signed. Raises HostError: a number that cannot be kept is not given out."""
        with self._authority.locked():
            number, denials = self._file.read()
            self._write(number + 1, denials)
            return issue_deny_list(self._authority.deny_list_signer(now), number + 1, denials, now)

    def _parse(self) -> tuple[int, tuple[Denial, ...]]:
        if not self._path.exists():
            return 0, ()
        try:
            fields = canonical.decode(read_file(self._path, MAXIMUM_FILE), MAXIMUM_FILE, ("denials", "number"))
            denials = tuple(
                Denial(
                    one.text("subject", 512),
                    datetime.fromtimestamp(one.whole("since", 0, 253_402_300_799), UTC),
                    one.text("reason", 128),
                )
                for one in fields.items("denials", MAXIMUM_ENTRIES, ("reason", "since", "subject"))
            )
            return fields.whole("number", 0, 2**63 - 1), denials
        except (ArtifactError, UsageError):
            raise HostError("the authority's list of denials cannot be read", hint="restore it from a backup") from None

    def _write(self, number: int, denials: tuple[Denial, ...]) -> None:
        entries: list[canonical.Json] = [
            {"reason": one.reason, "since": int(one.since.timestamp()), "subject": one.subject} for one in denials
        ]
        write_file(self._path, canonical.encode({"denials": entries, "number": number}))
