"""The load generator against a server that answers from a script."""

from __future__ import annotations

import json
import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.answers import Answer, run_job, session


class Script(ThreadingHTTPServer):
    """`seen`: bodies of completions; `sources`: how many connections each address opened; `most`: requests at once."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.seen: list[dict[str, object]] = []
        self.sources: Counter[str] = Counter()
        self.opened = 0
        self.under_way = self.most = 0
        self.meet: threading.Barrier | None = None
        """Where requests wait for each other, to be under way together."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Script

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.sources[self.client_address[0]] += 1

    def log_message(self, *_: object) -> None:
        """To nobody."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/v1/sessions":
            with self.server.lock:
                self.server.opened += 1
                name = f"session-{self.server.opened}"
            self.answer(201, json.dumps({"id": name}).encode())
            return
        with self.server.lock:
            self.server.seen.append(body)
            self.server.under_way += 1
            self.server.most = max(self.server.most, self.server.under_way)
        if self.server.meet is not None:
            self.server.meet.wait(30)
        with self.server.lock:
            self.server.under_way -= 1
        self.complete(body)

    def complete(self, body: dict[str, object]) -> None:
        if body["max_tokens"] == 503:
            self.answer(503, b'{"error": {"code": "unavailable"}}', retry_after="2")
        elif body["max_tokens"] == 13:
            self.close_connection = True  # without an answer
        else:
            self.answer(200, _events(int(str(body["max_tokens"]))))

    def answer(self, status: int, body: bytes, retry_after: str | None = None) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        if retry_after is not None:
            self.send_header("retry-after", retry_after)
        self.end_headers()
        self.wfile.write(body)


def _events(tokens: int) -> bytes:
    bodies: list[dict[str, object]] = [{"choices": [{"text": f" w{number}"}]} for number in range(tokens)]
    bodies.append({"choices": [], "usage": {"completion_tokens": tokens}})
    return b"".join(b"data: " + json.dumps(body).encode() + b"\n\n" for body in bodies) + b"data: [DONE]\n\n"


@pytest.fixture
def script() -> Iterator[Script]:
    with _serving(Script()) as server:
        yield server


@contextmanager
def _serving(server: Script) -> Iterator[Script]:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def address(server: Script) -> dict[str, object]:
    return {"host": "127.0.0.1", "port": server.server_port, "model": "any", "key": "", "roots": None}


def ask(tokens: int, requests: int = 1) -> dict[str, object]:
    return session(requests, 3, tokens, random.Random(0))


def by_session(answers: list[Answer]) -> list[Answer]:
    return sorted(answers, key=lambda one: (one.session, one.turn))


def test_every_token_is_timed_and_turns_follow_on_one_connection(script: Script) -> None:
    outcome = run_job(address(script), [ask(5, requests=2)], watch=os.getpid())
    assert [(one.tokens, len(one.pieces), one.error) for one in by_session(outcome.answers)] == [(5, 5, None)] * 2
    assert outcome.incomplete == 0
    assert outcome.tokens == 10
    assert sum(script.sources.values()) == 1
    first = by_session(outcome.answers)[0]
    assert first.sent <= first.connected <= first.headed <= first.pieces[0] <= first.pieces[-1] <= first.ended


def test_a_refusal_and_a_broken_connection_are_told_apart(script: Script) -> None:
    refused, broken, complete = by_session(
        run_job(address(script), [ask(503), ask(13), ask(2)], connect_first=False).answers
    )
    assert refused.is_refused
    assert refused.error == "unavailable"
    assert broken.error is not None
    assert not broken.is_refused
    assert not broken.is_complete
    assert complete.is_complete


def test_named_sessions_are_opened_first_and_name_themselves(script: Script) -> None:
    outcome = run_job(address(script), [ask(1), ask(1), session(0, 0, 0, random.Random(0))], named=True)
    assert outcome.incomplete == 0
    assert script.opened == 3
    named = {str(body["session_id"]) for body in script.seen}
    assert len(named) == 2
    assert named < {"session-1", "session-2", "session-3"}


def test_sessions_come_from_as_many_addresses_as_asked_for(script: Script) -> None:
    run_job(address(script), [ask(1) for _ in range(6)], sources=3)
    assert script.sources == {"127.0.0.1": 2, "127.0.0.2": 2, "127.0.0.3": 2}


def test_no_more_requests_are_under_way_than_asked_for(script: Script) -> None:
    script.meet = threading.Barrier(2)  # two at a time get through, one alone never would
    outcome = run_job(address(script), [ask(1) for _ in range(6)], at_once=2)
    assert outcome.incomplete == 0
    assert script.most == 2
