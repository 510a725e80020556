"""I13: whatever fails, wherever -> no path, key, stack trace or worker's name in the answer; the log names the request.

Defence: api/openai.py:error_body; removed its distinction, messages meant for operators reach clients, with paths in
them. Defence: api/envelope.py:Envelope; removed its net, an unexpected exception is logged whole by the HTTP library,
prompt and all, and in a stream ends the connection without an error event (api/app.py:_Answer.stream).
"""

from __future__ import annotations

import asyncio

import pytest

from mohawk.errors import (
    ArtifactError,
    HostError,
    MohawkError,
    PolicyError,
    RemoteError,
    UnavailableError,
    WorkerLostError,
)
from mohawk.generation.session import GenerationRequest
from tests.api.toy import HEADERS, KEY, ToyEngine, application, chat, events, in_process, post

SECRET = f"/srv/models/private {KEY} worker-7 10.0.0.7:8003"
WORDS = ("/srv", KEY, "worker-7", "10.0.0.7", "Traceback", "File ", ".py", "site-packages", "Error(")
FAILURES = [
    *(kind(SECRET, hint=SECRET) for kind in (MohawkError, RemoteError, ArtifactError, PolicyError)),
    *(kind(SECRET, hint=SECRET) for kind in (UnavailableError, WorkerLostError, HostError)),
    *(kind(SECRET) for kind in (RuntimeError, OSError, KeyError, AssertionError, RecursionError, MemoryError)),
    UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET),
    TimeoutError(SECRET),
]


def silent(text: str) -> None:
    for word in WORDS:
        assert word not in text


class FailingTokenizer(ToyEngine):
    async def encode_text(self, text: str) -> list[int]:
        raise self.failure


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fails_at", [-1, 0, 4], ids=["tokenizing", "starting", "generating"])
def test_a_failure_inside(failure: Exception, fails_at: int, *, stream: bool) -> None:
    engine = FailingTokenizer() if fails_at < 0 else ToyEngine()
    engine.fails_at, engine.failure = fails_at, failure
    response = post("/v1/chat/completions", chat(stream=stream), engine=engine)
    silent(response.text)
    silent(str(response.headers))
    if stream and fails_at > 0:
        error = events(response.text)[-1]["error"]
    else:
        assert response.status_code >= 400
        error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "server_error"


def test_health_says_only_whether() -> None:
    async def main() -> str:
        engine = ToyEngine()
        engine.is_healthy = False
        async with in_process(engine) as client:
            return (await client.get("/healthz")).text

    assert asyncio.run(main()) == '{"status":"unavailable"}'


BAD = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"model": 1}',
    b'{"a": 1, "a": 2}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    f'{{"model": "{KEY}", "messages": []}}'.encode(),
]


@pytest.mark.parametrize("body", BAD)
def test_a_body_that_is_refused_is_not_shown_again(body: bytes) -> None:
    for path in ("/v1/chat/completions", "/v1/completions"):
        response = post(path, body)
        assert response.status_code == 400
        silent(response.text)


@pytest.mark.parametrize(
    "path", ["/../../etc/passwd", "/docs", "/openapi.json", "/redoc", "/static/%2e%2e/x", "/v1//models", "//"]
)
def test_paths_that_lead_nowhere(path: str) -> None:
    async def main() -> None:
        async with in_process(ToyEngine()) as client:
            response = await client.get(path)
            assert response.status_code == 404
            assert "passwd" not in response.text
            silent(response.text)

    asyncio.run(main())


def test_no_exception_leaves_the_application() -> None:
    """Servers print what an application raises, and a traceback may hold a prompt."""

    async def main() -> None:
        engine = ToyEngine()
        engine.fails_at, engine.failure = 0, RuntimeError(SECRET)
        body = b'{"model":"toy","messages":[{"role":"user","content":"x"}]}'
        inbox = [{"type": "http.request", "body": body, "more_body": False}]
        sent = []

        async def receive() -> dict[str, object]:
            return inbox.pop() if inbox else await asyncio.Event().wait()

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/chat/completions",
            "headers": headers,
            "query_string": b"",
        }
        await application(engine)(scope, receive, send)
        assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
        assert sent[0]["status"] == 500

    asyncio.run(main())


def test_the_shape_of_requests_is_what_the_engine_got() -> None:
    """The failures above were real: without them the same requests succeed."""
    engine = ToyEngine()
    assert post("/v1/chat/completions", chat(), engine=engine).status_code == 200
    assert isinstance(engine.requests[0], GenerationRequest)
