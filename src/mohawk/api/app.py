"""The HTTP application: routes, and one request's way from body to answer.

A client that leaves is noticed at once, waiting or streaming: its generation is closed, and with it the work (D08). One
whose key is revoked meanwhile is cut off within seconds (Z06).
"""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import aclosing
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from mohawk.api.answer import Answer, merge, receive_nothing
from mohawk.api.auth import ApiKeys, require_scope
from mohawk.api.body import parse_body, read_body
from mohawk.api.engine import Engine
from mohawk.api.envelope import HEALTH, Envelope
from mohawk.api.openai import ChatShape, Extras, Shape, TextShape, list_body, model_body, status_body
from mohawk.api.presence import KeyWatch, while_present
from mohawk.api.quotas import Quotas
from mohawk.api.repeats import Capture, Done, Repeats, find_header
from mohawk.api.request import make_order
from mohawk.api.schema import ChatBody, TextBody
from mohawk.api.session_routes import SessionRoutes
from mohawk.api.sessions import Sessions
from mohawk.api.strict import read
from mohawk.audit.events import NoteEvent
from mohawk.errors import MohawkError, NotFoundError, UsageError
from mohawk.generation.session import GenerationRequest
from mohawk.store.api_keys import ApiKey
from mohawk.store.api_keys import Scope as KeyScope

LARGE_BODY = 64 << 10
"""Bytes; smaller ones are parsed in less time than handing them to a thread and back costs the others."""


def build_app(engine: Engine, keys: ApiKeys, sessions: Sessions, repeats: Repeats, note: NoteEvent) -> Starlette:
    """The API over one model. Every route but /healthz asks for one of `keys`."""
    catalogue, quotas = _Catalogue(engine), Quotas(time.monotonic)
    desk = _Desk(engine, KeyWatch(keys), quotas, sessions, repeats)
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
    watch: KeyWatch
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
            await while_present(receive, self._desk.watch, key.digest, work)

    async def _answer_once(self, data: bytes, key: ApiKey, scope: Scope, send: Send) -> None:
        if find_header(scope) is None:
            await self._answer(data, key, scope, send)
            return

        async def work() -> Done:
            capture = Capture()
            await self._answer(data, key, scope, capture.send)
            return capture.done

        response = await self._desk.repeats.once(scope, data, work)
        await response(scope, receive_nothing, send)

    async def _answer(self, data: bytes, key: ApiKey, scope: Scope, send: Send) -> None:
        body = await self._understand(data)
        _check_model(self._engine, body.model, key)
        if body.stream and find_header(scope) is not None:
            raise UsageError("a stream cannot be repeated", hint="leave Idempotency-Key out", field="idempotency-key")
        async with self._desk.sessions.turn(key, body.session_id, body.model) as call:
            order = await make_order(self._engine, body, call.caller)
            call.prompted(order.prompt_tokens)
            shape = self._make_shape(body, order.requests[0])
            choices = [(choice, call.timed()) for choice in order.make_choices(self._engine)]
            answer = Answer(shape, choices, order.prompt_tokens, scope, send)
            spent = lambda: 0 if answer.is_our_failure else call.tokens()  # noqa: E731 - a stream's failure is no exception
            with self._desk.quotas.spending(key, order.maximum_tokens, spent):
                answers = [self._engine.generate(request) for request in order.requests]
                async with aclosing(merge(answers)) as deltas:
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


def _check_model(engine: Engine, name: str, key: ApiKey) -> None:
    if name != engine.model_id or not key.may_use(name):
        raise NotFoundError("no such model here", hint="GET /v1/models names it", field="model")


async def _refuse_route(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse(status_body(error.status_code), error.status_code, error.headers)
