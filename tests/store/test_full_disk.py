"""A full disk (S17): what cannot be written is a typed error, what was there stays, and it goes on when there is room."""

from __future__ import annotations

from pathlib import Path

from tests.support.disks import run_on_a_small_disk

SCRIPT = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from mohawk.errors import HostError
from mohawk.store.answers import AnswerTable, KeptAnswer
from mohawk.store.api_keys import ApiKey, ApiKeyTable
from mohawk.store.database import Database

folder = Path(sys.argv[1])
(folder / "mohawk.db").touch()
database = Database(folder / "mohawk.db")
keys, answers = ApiKeyTable(database), AnswerTable(database)
keys.add(ApiKey("first", bytes(32), datetime(2026, 1, 1, tzinfo=UTC)))
filler = folder / "filler"
filler.write_bytes(bytes(400_000))
kept = 0
try:
    while True:
        answers.keep("first", KeptAnswer(bytes([kept]) * 32, b"tag", b"salt", bytes(50_000), 100))
        kept += 1
except HostError as error:
    print(error.message)
print(all(answers.find("first", bytes([number]) * 32, 0) is not None for number in range(kept)), kept > 0)
print(answers.find("first", bytes([kept]) * 32, 0))
print(keys.find(bytes(32)).name)
filler.unlink()
keys.add(ApiKey("second", b"2" * 32, datetime(2026, 1, 1, tzinfo=UTC)))
database.close()
print([key.name for key in ApiKeyTable(Database(folder / "mohawk.db")).all()])
"""


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    assert run_on_a_small_disk(SCRIPT, tmp_path / "disk") == [
        "writing the store failed",
        "True True",
        "None",
        "first",
        "['first', 'second']",
    ]
