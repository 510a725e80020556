"""A small deterministic engine behind the API: its tokens are bytes, its answers are what a test gives it."""

from __future__ import annotations

import asyncio
import atexit
import json
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp

from mohawk.api.app import build_app
from mohawk.api.auth import ApiKeys, digest_key
from mohawk.api.repeats import Repeats
from mohawk.api.sessions import Sessions
from mohawk.artifact.strict_json import JsonObject
from mohawk.errors import MohawkError, UsageError
from mohawk.generation.session import FinishReason, GenerationRequest, Sequence, TextDelta
from mohawk.generation.stream import TextStream
from mohawk.nouns.sampling import Grammar, TokenLogprobs
from mohawk.nouns.tools import CallStyle
from mohawk.store.answers import AnswerTable
from mohawk.store.api_keys import ApiKey
from mohawk.store.database import Database
from mohawk.store.sessions import SessionTable
from tests.support.audit import Heard

MODEL = "toy"
END = 256
KEY = "mk-" + "toy" * 14
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def key_named(name: str, secret: str = "", **fields: Any) -> ApiKey:
    return ApiKey(name, digest_key(secret or "mk-" + name), NOW, **fields)


def keys_of(*keys: ApiKey) -> ApiKeys:
    """Looked up without a store."""
    return ApiKeys({key.digest: key for key in keys}.get, lambda: NOW)


KEYS = keys_of(key_named("toy", KEY))
HEADERS = {"authorization": f"Bearer {KEY}"}
CONTEXT = 4096


class ToyEngine:
    """Answers `answer`, byte by byte, then ends. `waits_at`: the number of tokens before which it waits for `go`;
    `fails_at`: before which it raises `failure`.
    """

    model_id = MODEL
    created = 1700000000
    context_length = CONTEXT
    vocabulary_size = 257
    end_of_sequence = frozenset({END})

    def __init__(self, answer: bytes = "Grüße 😀".encode()) -> None:
        self.answer = answer
        self.requests: list[GenerationRequest] = []
        self.grammars: list[Grammar] = []
        self.tools: list[dict[str, object]] = []
        self.call_style: CallStyle | None = CallStyle.TAGS
        self.tokens = 0
        self.running = 0
        self.waits_at = -1
        self.fails_at = -1
        self.go = asyncio.Event()
        self.waiting = asyncio.Event()
        self.closed = asyncio.Event()
        self.failure: Exception = MohawkError("the disk /secret/place is full")
        self.is_healthy = True
        self.ended: list[str] = []

    async def encode_text(self, text: str) -> list[int]:
        if len(text) > 16 * CONTEXT:
            raise UsageError("a text that no prompt can hold", field="prompt")
        return list(text.encode("utf-8"))

    async def encode_chat(self, messages: list[JsonObject], tools: list[dict[str, object]]) -> list[int]:
        self.tools = tools
        calls = [f" {json.dumps(turn['tool_calls'])}" if "tool_calls" in turn else "" for turn in messages]
        turns = zip(messages, calls, strict=True)
        return await self.encode_text("".join(f"{turn['role']}: {turn['content']}{call}\n" for turn, call in turns))

    async def check_grammar(self, grammar: Grammar) -> None:
        if "bomb" in grammar.text:
            raise UsageError("this schema takes too much time or memory to compile", field="response_format")
        self.grammars.append(grammar)

    def token_bytes(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else b""

    def end_session(self, session: str) -> None:
        self.ended.append(session)

    def health(self) -> None:
        if not self.is_healthy:
            raise MohawkError("worker w1 at /secret/place is gone")

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        self.requests.append(request)
        self.running += 1
        sequence = Sequence(len(self.requests), request)
        text = TextStream(
            lambda tokens: bytes(tokens).decode("utf-8", "replace"),
            stops=request.stop,
            end_of_sequence=request.end_of_sequence,
        )
        try:
            for count, token in enumerate([*self.answer, END]):
                await self._step(count)
                finish = sequence.append(token)
                shown = text.push(token)
                if text.is_stopped:
                    finish = FinishReason.STOP
                shown += text.finish() if finish else ""
                yield TextDelta(shown, count + 1, finish, token, _logprobs(request, token))
                if finish:
                    return
        finally:
            self.running -= 1
            self.closed.set()

    async def _step(self, count: int) -> None:
        if count == self.waits_at:
            self.waiting.set()
            await self.go.wait()
        if count == self.fails_at:
            raise self.failure
        self.tokens += 1
        await asyncio.sleep(0)


def _logprobs(request: GenerationRequest, token: int) -> TokenLogprobs | None:
    """The chosen token with -0.25, the bytes after it with -1, -2, …"""
    if not request.sampling.logprobs:
        return None
    others = range(1, request.sampling.top_logprobs + 1)
    return TokenLogprobs(-0.25, tuple((token + step) % 256 for step in others), tuple(-float(step) for step in others))


@asynccontextmanager
async def in_process(
    engine: ToyEngine, keys: ApiKeys = KEYS, sessions: Sessions | None = None, repeats: Repeats | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application itself, without a socket, with the key."""
    transport = httpx.ASGITransport(application(engine, keys, sessions, repeats))
    async with httpx.AsyncClient(transport=transport, base_url="https://api.example", headers=HEADERS) as client:
        yield client


def application(
    engine: ToyEngine,
    keys: ApiKeys = KEYS,
    sessions: Sessions | None = None,
    repeats: Repeats | None = None,
    heard: Heard | None = None,
) -> ASGIApp:
    kept = repeats or Repeats(AnswerTable(store()), Clock().time)
    return build_app(engine, keys, sessions or sessions_in(store(), engine), kept, (heard or Heard()).note)


@cache
def store() -> Database:
    """For all that look at sessions in passing."""
    folder = Path(tempfile.mkdtemp())
    (folder / "mohawk.db").touch()
    database = Database(folder / "mohawk.db")
    atexit.register(shutil.rmtree, folder)
    atexit.register(database.close)
    return database


def sessions_in(database: Database, engine: ToyEngine, maximum: int = 1000, clock: Clock | None = None) -> Sessions:
    return Sessions(SessionTable(database), maximum, engine.end_session, (clock or Clock()).time)


@dataclass
class Clock:
    """Goes when it is told to."""

    now: datetime = NOW

    def time(self) -> datetime:
        return self.now


def chat(**fields: object) -> dict[str, object]:
    """A good chat body with `fields` over it."""
    return {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], **fields}


def post(path: str, body: object, *, engine: ToyEngine | None = None) -> httpx.Response:
    """One request to a fresh application; `body` is JSON, or bytes as they are."""

    async def main() -> httpx.Response:
        async with in_process(engine or ToyEngine()) as client:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            return await client.post(path, content=data)

    return asyncio.run(main())


def refused(body: object, field: str | None, *, path: str = "/v1/chat/completions", status: int = 400) -> str:
    """The request is refused with this status, naming this field, and nothing was generated. Its message."""
    engine = ToyEngine()
    response = post(path, body, engine=engine)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == field, error
    assert engine.requests == []
    return str(error["message"])


def events(text: str) -> list[object]:
    """The events of a stream; the end marker as it is."""
    lines = [line.removeprefix("data: ").rstrip(" ") for line in text.split("\n\n") if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]
