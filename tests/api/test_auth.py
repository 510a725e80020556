"""API keys: what is held of them, and what they open."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from mohawk.api.auth import generate_key
from mohawk.audit.events import EventKind
from mohawk.errors import AuthenticationError
from mohawk.generation.session import Priority
from mohawk.store.api_keys import EVERY_SCOPE, Scope
from tests.api.toy import HEADERS, MODEL, NOW, ToyEngine, application, chat, in_process, key_named, keys_of
from tests.support.audit import Heard

ROUTES = [
    ("GET", "/v1/models", Scope.MODELS),
    ("GET", "/v1/models/toy", Scope.MODELS),
    ("POST", "/v1/chat/completions", Scope.GENERATE),
    ("POST", "/v1/completions", Scope.GENERATE),
]
SESSION_ROUTES = [
    ("GET", "/v1/sessions"),
    ("POST", "/v1/sessions"),
    ("GET", "/v1/sessions/{session}"),
    ("DELETE", "/v1/sessions/{session}"),
]


def header(key: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", f"Bearer {key}".encode())]


def test_keys_are_long_and_different() -> None:
    keys = {generate_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("mk-") and len(key) == 46 for key in keys)


def test_only_digests_are_held_and_none_is_shown() -> None:
    secret = generate_key()
    key = key_named("a", secret)
    keys = keys_of(key, key_named("b"))
    assert keys.check(header(secret)) == key
    assert secret not in repr(vars(key) if hasattr(key, "__dict__") else key)
    assert key.digest.hex() not in repr(key)


def test_no_keys_let_nobody_in() -> None:
    with pytest.raises(AuthenticationError):
        keys_of().check(header("mk-x"))


@pytest.mark.parametrize("value", [b"Bearer \xff\xfe", b"Bearer\tmk", b"", b"Bearer mk- x"])
def test_odd_values_are_refused(value: bytes) -> None:
    with pytest.raises(AuthenticationError):
        keys_of(key_named("a", "mk-")).check([(b"authorization", value)])


def test_revoked_and_expired_keys_are_refused_in_the_same_words() -> None:
    key = key_named("a")
    endings = [replace(key, revoked=NOW), replace(key, created=NOW - timedelta(days=1), expires=NOW)]
    words = set()
    for keys in [*map(keys_of, endings), keys_of()]:
        with pytest.raises(AuthenticationError) as refused:
            keys.check(header("mk-a"))
        words.add(refused.value.message)
    assert len(words) == 1


def ask(method: str, path: str, **fields: object) -> tuple[int, dict[str, object], ToyEngine]:
    """One request with a key of these fields."""
    engine = ToyEngine()

    async def main() -> tuple[int, dict[str, object], ToyEngine]:
        async with in_process(engine, keys_of(key_named("a", **fields))) as client:
            body = {} if method == "GET" else {"json": chat() if "chat" in path else {"model": MODEL, "prompt": "Hi"}}
            response = await client.request(method, path, headers=header_of("mk-a"), **body)
            return response.status_code, response.json(), engine

    return asyncio.run(main())


def header_of(key: str) -> dict[str, str]:
    return HEADERS | {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize(("method", "path"), SESSION_ROUTES)
def test_the_routes_of_sessions_need_theirs(method: str, path: str) -> None:
    assert ask(method, path, scopes=EVERY_SCOPE - {Scope.SESSIONS})[0] == 403


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES)
def test_each_route_needs_its_scope(method: str, path: str, scope: Scope) -> None:
    status, _, _ = ask(method, path, scopes=frozenset({scope}))
    assert status == 200
    status, body, engine = ask(method, path, scopes=EVERY_SCOPE - {scope})
    assert status == 403
    assert body["error"]["code"] == "permission_denied"
    assert engine.requests == []


def test_no_route_is_without_a_scope() -> None:
    """A new route needs a line above. Those of sessions are tried in their own file."""
    app = application(ToyEngine())
    assert isinstance(app, Starlette)
    known = {(method, path.replace("toy", "{model}")) for method, path, _ in ROUTES} | {("GET", "/healthz")}
    known |= set(SESSION_ROUTES)
    routes = [route for route in app.routes if isinstance(route, Route)]
    assert len(routes) == len(app.routes)
    assert {(method, route.path) for route in routes for method in (route.methods or ()) if method != "HEAD"} == known


def test_a_key_sees_only_its_models() -> None:
    other = frozenset({"another"})
    assert ask("GET", "/v1/models", models=other)[1] == {"object": "list", "data": []}
    for method, path, _ in ROUTES[1:]:
        status, body, engine = ask(method, path, models=other)
        assert (status, body["error"]["code"], engine.requests) == (404, "not_found", [])
        assert ask(method, path, models=frozenset({MODEL, "another"}))[0] == 200


def test_what_is_refused_is_counted_in_the_audit_log_by_names_of_ours() -> None:
    heard = Heard()
    keys = keys_of(key_named("a", scopes=frozenset({Scope.MODELS})))

    async def main() -> None:
        transport = httpx.ASGITransport(application(ToyEngine(), keys, heard=heard), client=("10.9.8.7", 1))
        async with httpx.AsyncClient(transport=transport, base_url="https://api.example") as client:
            for key in ("mk-a", "mk-\x7f", "mk-b"):
                await client.post("/v1/chat/completions", json=chat(), headers={"authorization": f"Bearer {key}"})
            await client.get("/v1/models")
            await client.get("/v1/models", headers=header_of("mk-a"))

    asyncio.run(main())
    refused, forbidden = heard.of(EventKind.CONNECTION_REFUSED), heard.of(EventKind.ACCESS_REFUSED)
    assert len(heard.events) == len(refused) + len(forbidden) == 4
    assert {(event.subject, event.details["reason"]) for event in refused} == {("10.9.8.7", "invalid_api_key")}
    assert [(event.subject, event.details["reason"]) for event in forbidden] == [("api-key:a", "permission_denied")]


def test_requests_are_made_in_the_keys_name() -> None:
    _, _, engine = ask("POST", "/v1/chat/completions", tenant="acme", priority=Priority.HIGH)
    caller = engine.requests[0].caller
    assert (caller.tenant, caller.priority, caller.session) == ("acme", Priority.HIGH, None)
