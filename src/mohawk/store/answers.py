"""Answers that are kept for repeated requests (docs/spec/store.md 4). Sealed: this table can read none of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from mohawk.errors import LimitError
from mohawk.store.database import Database

MAXIMUM_ANSWERS = 10_000
MAXIMUM_BYTES = 256 << 20
"""Of one API key, and its sealed answers'."""
_RETRY_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """`id`: of the request, `tag`: of its content; `salt` and `sealed` are the answer; `expires` is in seconds since
    1970.
    """

    id: bytes
    tag: bytes
    salt: bytes
    sealed: bytes
    expires: int


class AnswerTable:
    """All methods raise HostError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, key: str, answer_id: bytes, now: int) -> KeptAnswer | None:
        """What the API key of this name has kept under this id, if it has not expired."""
        rows = self._database.rows(
            "SELECT tag, salt, sealed, expires FROM answers WHERE api_key = ? AND id = ? AND expires > ?",
            (key, answer_id, now),
        )
        if not rows:
            return None
        tag, salt, sealed = (cast("bytes", value) for value in rows[0][:3])
        return KeptAnswer(answer_id, tag, salt, sealed, cast("int", rows[0][3]))

    def require_room(self, key: str, now: int) -> None:
        """Drop what has expired. Raises LimitError when the key has no room left: nothing is forgotten early."""
        with self._database.change() as connection:
            connection.execute("DELETE FROM answers WHERE expires <= ?", (now,))
            count, size = connection.execute(
                "SELECT count(*), coalesce(sum(size), 0) FROM answers WHERE api_key = ?", (key,)
            ).fetchone()
        if count >= MAXIMUM_ANSWERS or size >= MAXIMUM_BYTES:
            raise LimitError("this API key has too many answers kept for repeated requests", _RETRY_SECONDS)

    def keep(self, key: str, answer: KeptAnswer) -> None:
        """In place of an expired one of this id."""
        with self._database.change() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO answers (api_key, id, tag, salt, sealed, size, expires) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (key, answer.id, answer.tag, answer.salt, answer.sealed, len(answer.sealed), answer.expires),
            )
