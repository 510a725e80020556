"""Kept answers: each key's own, for a day, within bounds."""

from __future__ import annotations

import pytest

from mohawk.errors import LimitError
from mohawk.store import answers
from mohawk.store.answers import AnswerTable, KeptAnswer
from mohawk.store.database import Database


def answer(number: int, expires: int = 100, size: int = 10) -> KeptAnswer:
    return KeptAnswer(bytes([number]) * 32, b"tag", b"salt", bytes(size), expires)


def test_an_answer_is_found_by_its_key_until_it_expires(database: Database) -> None:
    table = AnswerTable(database)
    table.keep("a", answer(1))
    assert table.find("a", answer(1).id, 99) == answer(1)
    assert table.find("a", answer(1).id, 100) is None
    assert table.find("b", answer(1).id, 0) is None
    assert table.find("a", answer(2).id, 0) is None


def test_an_expired_one_makes_room_for_another_of_its_name(database: Database) -> None:
    table = AnswerTable(database)
    table.keep("a", answer(1))
    table.keep("a", answer(1, 300, 7))
    assert table.find("a", answer(1).id, 200) == answer(1, 300, 7)


@pytest.mark.parametrize("bound", ["MAXIMUM_ANSWERS", "MAXIMUM_BYTES"])
def test_a_full_key_is_refused_and_forgets_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(answers, bound, {"MAXIMUM_ANSWERS": 2, "MAXIMUM_BYTES": 20}[bound])
    table = AnswerTable(database)
    table.keep("a", answer(1, 50))
    table.require_room("a", 0)
    table.keep("a", answer(2))
    with pytest.raises(LimitError):
        table.require_room("a", 0)
    table.require_room("b", 0)
    assert table.find("a", answer(1).id, 0) == answer(1, 50)
    table.require_room("a", 50)
    assert database.rows("SELECT count(*) FROM answers") == [(1,)]
