"""S18 (store): the store is stolen after requests with `Idempotency-Key` -> no prompt, no answer, no API key, and no name
that the client chose is in its files; without the key that asked, nothing confirms a guessed prompt either.

Defence: api/repeats.py:_seal; removed, the database holds in clear what the model said. Defence:
api/repeats.py:Repeats.once (MACs under the API key); removed, whoever guesses a name or a prompt finds it confirmed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import closing
from pathlib import Path

from mohawk.api.auth import generate_key
from mohawk.api.repeats import Repeats
from mohawk.store.answers import AnswerTable
from mohawk.store.api_keys import ApiKeyTable
from mohawk.store.database import Database
from tests.api.toy import Clock, ToyEngine, chat, in_process, key_named, keys_of

ANSWER = "the answer that nobody else may read"
PROMPT = "the prompt that nobody else may read"
NAME = "the-name-of-this-request"


def test_a_stolen_store_tells_nothing_of_what_was_said(tmp_path: Path) -> None:
    (tmp_path / "mohawk.db").touch()
    secret = generate_key()
    key = key_named("a", secret)
    body = json.dumps(chat(messages=[{"role": "user", "content": PROMPT}])).encode()

    async def ask(database: Database) -> None:
        repeats = Repeats(AnswerTable(database), Clock().time)
        headers = {"authorization": f"Bearer {secret}", "idempotency-key": NAME}
        async with in_process(ToyEngine(ANSWER.encode()), keys_of(key), None, repeats) as client:
            for _ in range(2):
                response = await client.post("/v1/chat/completions", content=body, headers=headers)
                assert ANSWER in response.text

    with closing(Database(tmp_path / "mohawk.db")) as database:
        ApiKeyTable(database).add(key)
        asyncio.run(ask(database))
        stolen = b"".join(path.read_bytes() for path in tmp_path.iterdir())  # with its write-ahead log
        assert database.rows("SELECT count(*) FROM answers") == [(1,)]
    for text in (ANSWER, PROMPT, NAME, secret):
        assert text.encode() not in stolen
    for guess in (NAME.encode(), body):
        for digest in (hashlib.sha256, hashlib.sha384):
            assert digest(guess).digest() not in stolen
            assert digest(guess).digest()[:32] not in stolen
