"""The HTTP application: routes, and one request's way from body to answer.

A client that leaves is noticed at once, waiting or streaming: its generation is closed, and with it the work (D08). One
whose key is revoked meanwhile is cut off within seconds (Z06).
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from mohawk.api.auth import ApiKeys, require_scope
from mohawk.api.body import parse_body, read_body
from mohawk.api.engine import Engine
from mohawk.api.envelope import HEALTH, Envelope, log_failure
from mohawk.api.openai import (
    DONE,
    Body,
    ChatShape,
    Extras,
    Shape,
    TextShape,
    Usage,
    error_body,
    event,
    list_body,
    model_body,
    status_body,
)
from mohawk.api.presence import while_present
from mohawk.api.quotas import Quotas
from mohawk.api.repeats import Capture, Done, Repeats, find_header
from mohawk.api.request import make_request
from mohawk.api.schema import ChatBody, TextBody, read
from mohawk.api.session_routes import SessionRoutes
from mohawk.api.sessions import Sessions
from mohawk.audit.events import NoteEvent
from mohawk.errors import MohawkError, NotFoundError, UsageError
from mohawk.generation.session import FinishReason, GenerationRequest, TextDelta
from mohawk.store.api_keys import ApiKey
from mohawk.store.api_keys import Scope as KeyScope

LARGE_BODY = 64 << 10
"""Bytes; smaller ones are parsed in less time than handing them to a thread and back costs the others."""

Deltas = AsyncGenerator[TextDelta, None]


def build_app(engine: Engine, keys: ApiKeys, sessions: Sessions, repeats: Repeats, note: NoteEvent) -> Starlette:
    """The API over one model. Every route but /healthz asks for one of `keys`."""
    catalogue, quotas = _Catalogue(engine), Quotas(time.monotonic)
    desk = _Desk(engine, keys, quotas, sessions, repeats)
    app = Starlette(
        routes=[
            Route(HEALTH, catalogue.health),
            Route("/v1/models", catalogue.list_models),
            Route("/v1/models/{model}", catalogue.show_model),
            Route("/v1/chat/completions", _Completions(desk, ChatBody, ChatShape), methods=["POST"]),
            Route("/v1/completions", _Completions(desk, TextBody, TextShape), methods=["POST"]),
            *SessionRoutes(engine, sessions, repeats).routes(),
        ],
        middleware=[Middleware(Envelope, keys=keys, quotas=quotas, note=note)],
        exception_handlers={HTTPException: _refuse_route},
    )
    app.router.redirect_slashes = False  # a redirect would repeat the client's Host header
    return app


class _Catalogue:
    """The routes that only look."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def health(self, _request: Request) -> Response:
        """Says whether, never why: nobody has shown a key."""
        try:
            self._engine.health()
        except MohawkError:
            return JSONResponse({"status": "unavailable"}, 503)
        return JSONResponse({"status": "ok"})

    async def list_models(self, request: Request) -> Response:
        engine, key = self._engine, require_scope(request.scope, KeyScope.MODELS)
        models = [model_body(engine.model_id, engine.created)] if key.may_use(engine.model_id) else []
        return JSONResponse(list_body(models))

    async def show_model(self, request: Request) -> Response:
        key = require_scope(request.scope, KeyScope.MODELS)
        _check_model(self._engine, request.path_params["model"], key)
        return JSONResponse(model_body(self._engine.model_id, self._engine.created))


@dataclass(frozen=True, slots=True)
class _Desk:
    """What both generating routes share."""

    engine: Engine
    keys: ApiKeys
    quotas: Quotas
    sessions: Sessions
    repeats: Repeats


class _Completions:
    """One of the two generating routes, as an ASGI application."""

    def __init__(self, desk: _Desk, schema: type[ChatBody | TextBody], shape: type[Shape]) -> None:
        self._engine = desk.engine
        self._desk = desk
        self._schema = schema
        self._shape = shape

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = require_scope(scope, KeyScope.GENERATE)
        with self._desk.quotas.answering(key):
            data = await read_body(Request(scope, receive))
            work = self._answer_once(data, key, scope, send)
            await while_present(receive, self._desk.keys, scope, work)

    async def _answer_once(self, data: bytes, key: ApiKey, scope: Scope, send: Send) -> None:
        if find_header(scope) is None:
            await self._answer(data, key, scope, send)
            return

        async def work() -> Done:
            capture = Capture()
            await self._answer(data, key, scope, capture.send)
            return capture.done

        response = await self._desk.repeats.once(scope, data, work)
        await response(scope, _receive_nothing, send)

    async def _answer(self, data: bytes, key: ApiKey, scope: Scope, send: Send) -> None:
        body = await self._understand(data)
        _check_model(self._engine, body.model, key)
        if body.stream and find_header(scope) is not None:
            raise UsageError("a stream cannot be repeated", hint="leave Idempotency-Key out", field="idempotency-key")
        async with self._desk.sessions.turn(key, body.session_id, body.model) as call:
            request = await make_request(self._engine, body, call.caller)
            call.prompted(len(request.prompt))
            answer = _Answer(self._make_shape(body, request), len(request.prompt), scope, send)
            with self._desk.quotas.spending(key, request.maximum_tokens, call.tokens):
                async with aclosing(call.timed(self._engine.generate(request))) as deltas:
                    if body.stream:
                        await answer.stream(deltas)
                    else:
                        await answer.whole(deltas)

    async def _understand(self, data: bytes) -> ChatBody | TextBody:
        """A large body is parsed beside the loop, which other requests and the workers' heartbeats need."""
        if len(data) <= LARGE_BODY:
            return read(self._schema, parse_body(data))
        return await asyncio.to_thread(lambda: read(self._schema, parse_body(data)))

    def _make_shape(self, body: ChatBody | TextBody, request: GenerationRequest) -> Shape:
        name, now = uuid.uuid4().hex, int(time.time())
        extras = Extras(body.includes_usage, body.return_token_ids is True, request.prompt)
        return self._shape(name, now, self._engine.model_id, extras)


class _Answer:
    """Sends one answer, whole or in pieces."""

    def __init__(self, shape: Shape, prompt_tokens: int, scope: Scope, send: Send) -> None:
        self._shape = shape
        self._usage = Usage(prompt_tokens, 0)
        self._reason: FinishReason | None = None
        self._scope = scope
        self._send = send

    async def whole(self, deltas: Deltas) -> None:
        taken = [self._take(delta) async for delta in deltas]
        text = "".join(delta.text for delta in taken)
        tokens = [delta.token for delta in taken if delta.token is not None]
        body = self._shape.whole(text, tokens, self._end(), self._usage)
        await JSONResponse(body)(self._scope, _receive_nothing, self._send)

    async def stream(self, deltas: Deltas) -> None:
        """The status waits for the first piece: until then an error is an answer of its own."""
        first = await anext(deltas)
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            await self._send_events([*self._shape.first(), *self._pieces(first)])
            async for delta in deltas:
                await self._send_events(self._pieces(delta))
            await self._send_events(self._shape.last(self._end(), self._usage))
            ending = DONE
        except MohawkError as error:
            ending = self._fail(error, error)
        except Exception as error:  # noqa: BLE001 - the outermost edge of a stream: only our own words may leave
            ending = self._fail(error, MohawkError("unexpected"))
        await self._send({"type": "http.response.body", "body": ending, "more_body": False})

    def _take(self, delta: TextDelta) -> TextDelta:
        self._usage = Usage(self._usage.prompt_tokens, delta.tokens)
        self._reason = delta.finish_reason
        return delta

    def _end(self) -> FinishReason:
        """An answer that only stopped coming is not a complete one."""
        if self._reason is None:
            raise MohawkError("an answer ended without a reason")
        return self._reason

    def _pieces(self, delta: TextDelta) -> list[Body]:
        return self._shape.piece(self._take(delta))

    async def _send_events(self, bodies: list[Body]) -> None:
        if bodies:
            data = b"".join(event(body) for body in bodies)
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    def _fail(self, error: Exception, shown: MohawkError) -> bytes:
        log_failure(self._scope["state"]["request_id"], error)
        return event(error_body(shown))


def _check_model(engine: Engine, name: str, key: ApiKey) -> None:
    if name != engine.model_id or not key.may_use(name):
        raise NotFoundError("no such model here", hint="GET /v1/models names it", field="model")


async def _receive_nothing() -> dict[str, Any]:
    return {"type": "http.disconnect"}


async def _refuse_route(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse(status_body(error.status_code), error.status_code, error.headers)
