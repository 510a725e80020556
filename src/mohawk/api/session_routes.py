"""The routes under /v1/sessions (docs/spec/api.md 8)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mohawk.api.auth import require_scope
from mohawk.api.body import parse_body, read_body
from mohawk.api.engine import Engine
from mohawk.api.openai import Body
from mohawk.api.repeats import Done, Repeats
from mohawk.api.schema import check_labels
from mohawk.api.sessions import IDLE, Session, Sessions
from mohawk.api.strict import Strict, read
from mohawk.errors import NotFoundError, PermissionDeniedError, UsageError
from mohawk.generation.session import Priority
from mohawk.generation.statistics import PERCENTILES, Distribution
from mohawk.store.api_keys import ApiKey, Scope

MAXIMUM_BODY = 64 << 10
MAXIMUM_PAGE = 1000
_PAGE = 100


class SessionBody(Strict):
    """POST /v1/sessions."""

    model: Annotated[str, Field(max_length=256)]
    qos: Literal["high", "normal", "low"] | None = None
    tenant: Annotated[str | None, Field(max_length=64)] = None
    routing: Annotated[dict[str, str] | None, BeforeValidator(check_labels("routing"))] = None


class SessionRoutes:
    """Opening, seeing and ending sessions of the key's tenant."""

    def __init__(self, engine: Engine, sessions: Sessions, repeats: Repeats) -> None:
        self._engine = engine
        self._sessions = sessions
        self._repeats = repeats

    def routes(self) -> list[Route]:
        return [
            Route("/v1/sessions", self.open, methods=["POST"]),
            Route("/v1/sessions", self.list, methods=["GET"]),
            Route("/v1/sessions/{session}", self.show, methods=["GET"]),
            Route("/v1/sessions/{session}", self.end, methods=["DELETE"]),
        ]

    async def open(self, request: Request) -> Response:
        key = require_scope(request.scope, Scope.SESSIONS)
        data = await read_body(request, MAXIMUM_BODY)
        return await self._repeats.once(request.scope, data, lambda: self._open(key, data))

    async def _open(self, key: ApiKey, data: bytes) -> Done:
        body = read(SessionBody, parse_body(data))
        if body.model != self._engine.model_id or not key.may_use(body.model):
            raise NotFoundError("no such model here", hint="GET /v1/models names it", field="model")
        if body.tenant not in (None, key.tenant):
            raise PermissionDeniedError("this API key is another tenant's", field="tenant")
        session = await self._sessions.open(key, body.model, _priority(key, body.qos), body.routing or {})
        return Done(201, bytes(JSONResponse(session_body(session)).body))

    async def list(self, request: Request) -> Response:
        key = require_scope(request.scope, Scope.SESSIONS)
        sessions = self._sessions.of_tenant(key.tenant)
        first, count = _page(request, sessions)
        page = sessions[first : first + count]
        more = first + count < len(sessions)
        return JSONResponse({"object": "list", "data": [session_body(one) for one in page], "has_more": more})

    async def show(self, request: Request) -> Response:
        key = require_scope(request.scope, Scope.SESSIONS)
        return JSONResponse(session_body(self._sessions.find(key.tenant, request.path_params["session"])))

    async def end(self, request: Request) -> Response:
        key = require_scope(request.scope, Scope.SESSIONS)
        name = request.path_params["session"]
        await self._sessions.end(key.tenant, name)
        return JSONResponse({"id": name, "object": "session.deleted", "deleted": True})


def session_body(session: Session) -> Body:
    """What a client sees of a session. Times: seconds, and seconds since 1970."""
    record, statistics = session.record, session.statistics
    return {
        "id": record.id,
        "object": "session",
        "model": record.model,
        "tenant": record.tenant,
        "qos": record.priority.name.lower(),
        "routing": dict(record.routing),
        "created": _seconds(record.created),
        "last_used": _seconds(session.used),
        "expires": _seconds(session.used + IDLE),
        "running": session.running,
        "statistics": {
            "turns": statistics.turns,
            "prompt_tokens": statistics.prompt_tokens,
            "cached_tokens": statistics.cached_tokens,
            "generated_tokens": statistics.generated_tokens,
            "tokens_per_second": _rounded(statistics.tokens_per_second),
            "time_to_first_token": _percentiles(statistics.first_token),
            "inter_token_time": _percentiles(statistics.between_tokens),
            "batch_size": _percentiles(statistics.batch_size),
        },
    }


def _priority(key: ApiKey, qos: str | None) -> Priority:
    """Raises PermissionDeniedError when it is better than the key's."""
    wanted = Priority[qos.upper()] if qos is not None else key.priority
    if wanted < key.priority:
        best = key.priority.name.lower()
        raise PermissionDeniedError(f"this API key's sessions get at most the priority {best}", field="qos")
    return wanted


def _page(request: Request, sessions: list[Session]) -> tuple[int, int]:
    """The first to show, and how many. Raises UsageError."""
    asked, after = request.query_params.get("limit", str(_PAGE)), request.query_params.get("after")
    if not (asked.isascii() and asked.isdecimal() and len(asked) < 5 and 1 <= int(asked) <= MAXIMUM_PAGE):
        raise UsageError(f"limit is a number from 1 to {MAXIMUM_PAGE}", field="limit")
    if after is None:
        return 0, int(asked)
    ids = [session.record.id for session in sessions]
    if after not in ids:
        raise NotFoundError("there is no such session", field="after")
    return ids.index(after) + 1, int(asked)


def _percentiles(distribution: Distribution) -> Body:
    return {f"p{percent}": _rounded(distribution.percentile(percent)) for percent in PERCENTILES}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _seconds(when: datetime) -> int:
    return int(when.timestamp())
