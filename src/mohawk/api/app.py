"""The HTTP application: routes, and one request's way from body to answer.

A client that leaves is noticed at once, waiting or streaming: its generation is closed, and with it the work (D08).
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from mohawk.api.answer import Answer, merge
from mohawk.api.auth import ApiKeys
from mohawk.api.body import parse_body, read_body
from mohawk.api.engine import Engine
from mohawk.api.envelope import HEALTH, Envelope, error_response, log_failure
from mohawk.api.openai import ChatShape, Extras, Shape, TextShape, model_body, models_body, status_body
from mohawk.api.request import make_order
from mohawk.api.schema import ChatBody, TextBody
from mohawk.api.strict import read
from mohawk.errors import MohawkError, NotFoundError
from mohawk.generation.session import GenerationRequest

LARGE_BODY = 64 << 10
"""Bytes; smaller ones are parsed in less time than handing them to a thread and back costs the others."""


def build_app(engine: Engine, keys: ApiKeys) -> Starlette:
    """The API over one model. Every route but /healthz asks for one of `keys`."""
    catalogue = _Catalogue(engine)
    app = Starlette(
        routes=[
            Route(HEALTH, catalogue.health),
            Route("/v1/models", catalogue.list_models),
            Route("/v1/models/{model}", catalogue.show_model),
            Route("/v1/chat/completions", _Completions(engine, ChatBody, ChatShape), methods=["POST"]),
            Route("/v1/completions", _Completions(engine, TextBody, TextShape), methods=["POST"]),
        ],
        middleware=[Middleware(Envelope, keys=keys)],
        exception_handlers={HTTPException: _refuse_route, MohawkError: _answer_error},
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

    async def list_models(self, _request: Request) -> Response:
        return JSONResponse(models_body(self._engine.model_id, self._engine.created))

    async def show_model(self, request: Request) -> Response:
        _check_model(self._engine, request.path_params["model"])
        return JSONResponse(model_body(self._engine.model_id, self._engine.created))


class _Completions:
    """One of the two generating routes, as an ASGI application."""

    def __init__(self, engine: Engine, schema: type[ChatBody | TextBody], shape: type[Shape]) -> None:
        self._engine = engine
        self._schema = schema
        self._shape = shape

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        data = await read_body(Request(scope, receive))
        await _until_gone(receive, self._answer(data, scope, send))

    async def _answer(self, data: bytes, scope: Scope, send: Send) -> None:
        body = await self._understand(data)
        _check_model(self._engine, body.model)
        order = await make_order(self._engine, body)
        shape, prompt_tokens = self._make_shape(body, order.requests[0]), len(order.requests[0].prompt)
        answer = Answer(shape, order.make_choices(self._engine), prompt_tokens, scope, send)
        async with aclosing(merge([self._engine.generate(request) for request in order.requests])) as deltas:
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


def _check_model(engine: Engine, name: str) -> None:
    if name != engine.model_id:
        raise NotFoundError("no such model here", hint="GET /v1/models names it", field="model")


async def _until_gone(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do `work` while the client is there. Raises ClientDisconnect, the work cancelled and ended, when it leaves."""
    task = asyncio.create_task(work)
    gone = asyncio.create_task(_wait_until_gone(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)
    task.result()


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, MohawkError)
    if error.http_status >= 500:
        log_failure(request.state.request_id, error)
    return error_response(error)


async def _refuse_route(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse(status_body(error.status_code), error.status_code, error.headers)
