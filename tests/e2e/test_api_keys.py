"""Keys, quotas and sessions of a running server: it goes by what commands change within a second."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.e2e.processes import Up
from tests.e2e.running import QUESTION

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("up")]

MESSAGES = [{"role": "user", "content": QUESTION}]


@pytest.fixture
def trusted(up: Up, monkeypatch: pytest.MonkeyPatch) -> Up:
    monkeypatch.setenv("SSL_CERT_FILE", up.root)
    return up


@pytest.fixture
def http(trusted: Up) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=trusted.url, headers={"authorization": f"Bearer {trusted.key}"}, timeout=60) as client:
        yield client


def new_key(up: Up, *arguments: str) -> tuple[str, str]:
    """Its name, and the key."""
    name = f"k-{uuid.uuid4().hex[:12]}"  # another run of the tests may have used the same home
    made = up.command("apikey", "create", name, "--json", *arguments)
    assert made.returncode == 0, made.stderr
    return name, json.loads(made.stdout)["key"]


def within_a_second(http: httpx.Client, key: str, status: int) -> None:
    end = time.monotonic() + 1.0
    while True:
        found = http.get("/models", headers={"authorization": f"Bearer {key}"}).status_code
        if found == status or time.monotonic() > end:
            break
    assert found == status


def test_a_key_works_from_its_making_to_its_revocation(trusted: Up, http: httpx.Client):
    name, key = new_key(trusted)
    within_a_second(http, key, 200)
    assert trusted.command("apikey", "revoke", name).returncode == 0
    within_a_second(http, key, 401)
    within_a_second(http, trusted.key, 200)


def test_the_official_client_hears_of_limits_and_scopes(trusted: Up):
    _, key = new_key(trusted, "--requests-per-minute", "2", "--scope", "generate")
    with openai.OpenAI(base_url=trusted.url, api_key=key, max_retries=0) as client:

        def ask() -> str | None:
            answer = client.chat.completions.create(model=trusted.ready["model"], messages=MESSAGES, max_tokens=4)
            return answer.choices[0].message.content

        assert ask()
        with pytest.raises(openai.PermissionDeniedError):
            client.models.list()
        with pytest.raises(openai.RateLimitError) as refused:
            ask()
        assert int(refused.value.response.headers["retry-after"]) > 0


def chat(http: httpx.Client, up: Up, **fields: Any) -> httpx.Response:
    return http.post("/chat/completions", json={"model": up.ready["model"], "messages": MESSAGES, **fields})


def test_a_session_serves_turns_and_tells_how_fast(trusted: Up, http: httpx.Client):
    opened = http.post("/sessions", json={"model": trusted.ready["model"], "qos": "low"})
    assert opened.status_code == 201, opened.text
    session = opened.json()["id"]
    alone = chat(http, trusted, temperature=0, max_tokens=8)
    turns = [chat(http, trusted, temperature=0, max_tokens=8, session_id=session) for _ in range(2)]
    assert [turn.json()["choices"] for turn in turns] == [alone.json()["choices"]] * 2
    found = http.get(f"/sessions/{session}").json()["statistics"]
    assert found["turns"] == 2
    assert found["generated_tokens"] == sum(turn.json()["usage"]["completion_tokens"] for turn in turns)
    assert found["time_to_first_token"]["p50"] > 0
    assert http.delete(f"/sessions/{session}").status_code == 200
    assert chat(http, trusted, session_id=session).status_code == 404


def test_a_request_that_is_sent_again_is_answered_once(trusted: Up, http: httpx.Client):
    http.headers["idempotency-key"] = str(uuid.uuid4())
    first, again = [chat(http, trusted, max_tokens=8) for _ in range(2)]
    assert first.content == again.content
    assert again.headers["idempotency-replayed"] == "true"
