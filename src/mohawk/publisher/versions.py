"""Which version number each revision of a model was published under: the publisher's memory behind rollback protection.

Workers refuse a manifest older than one they accepted. New weights get the next number; the same weights, cut in
another way, keep theirs: going back from three workers to two is not a rollback.
"""

from __future__ import annotations

import json
from pathlib import Path

from mohawk.errors import HostError
from mohawk.host.files import read_file, write_file

_LIMIT = 1 << 20


def assign_version(record: Path, model_id: str, revision: str) -> int:
    """The version of `revision`, remembered in `record` (a JSON file). Raises HostError."""
    versions = _read(record)
    revisions = versions.setdefault(model_id, {})
    if revision not in revisions:
        revisions[revision] = max(revisions.values(), default=0) + 1
        write_file(record, json.dumps(versions, indent=1, sort_keys=True).encode("ascii"))
    return revisions[revision]


def _read(record: Path) -> dict[str, dict[str, int]]:
    if not record.exists():
        return {}
    try:
        document = json.loads(read_file(record, _LIMIT))
        return {str(model): {str(k): int(v) for k, v in known.items()} for model, known in document.items()}
    except (ValueError, AttributeError, TypeError):
        raise HostError("the record of published versions is damaged", hint=f"restore {record.name}") from None
