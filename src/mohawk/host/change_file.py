"""Open changes in the authority's folder, written before they are answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from mohawk.crypto import canonical
from mohawk.errors import ArtifactError, HostError, IdentityError, UsageError
from mohawk.host.authority import AuthorityFolder
from mohawk.host.files import read_file, write_file
from mohawk.identity.changes import MAXIMUM_CONTENT, MAXIMUM_OPEN, Change

_LIMIT = 4 * MAXIMUM_OPEN * MAXIMUM_CONTENT
Result = TypeVar("Result")


class ChangeFile:
    """Each update is made under the folder's lock."""

    def __init__(self, authority: AuthorityFolder) -> None:
        self._authority = authority
        self._path = authority.folder / "changes.json"

    def read(self) -> tuple[Change, ...]:
        """Raises HostError."""
        return _read(self._path)

    def update(self, step: Callable[[Sequence[Change]], tuple[Result, tuple[Change, ...]]]) -> Result:
        """`step`: all changes -> (result, those that are left). Raises what it raises, or HostError."""
        with self._authority.locked():
            result, left = step(_read(self._path))
            entries: list[canonical.Json] = [{"change": change.encode()} for change in left]
            write_file(self._path, canonical.encode({"changes": entries}))
            return result


def _read(path: Path) -> tuple[Change, ...]:
    if not path.exists():
        return ()
    try:
        fields = canonical.decode(read_file(path, _LIMIT), _LIMIT, ("changes",))
        entries = fields.items("changes", MAXIMUM_OPEN, ("change",))
        return tuple(Change.parse(one.blob("change", 2 * MAXIMUM_CONTENT)) for one in entries)
    except (ArtifactError, UsageError, IdentityError):
        raise HostError("the list of open changes cannot be read", hint=f"remove {path.name}; propose again") from None
