"""Requests through the application: OpenAI's shapes, keys, errors, and clients that leave."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator

import httpx
import pytest

from mohawk.api.body import parse_body
from mohawk.errors import UnavailableError
from tests.api.toy import CONTEXT, END, KEY, MODEL, ToyEngine, application, chat, events, in_process, post

TEXT = "Grüße 😀"


def test_a_whole_chat_answer_has_openais_shape() -> None:
    engine = ToyEngine()
    response = post("/v1/chat/completions", chat(), engine=engine)
    body = response.json()
    assert response.status_code == 200
    assert body["object"] == "chat.completion"
    assert body["id"].startswith("chatcmpl-")
    assert body["model"] == MODEL
    [choice] = body["choices"]
    assert choice["message"] == {"role": "assistant", "content": TEXT, "refusal": None}
    assert (choice["index"], choice["finish_reason"]) == (0, "stop")
    prompt, completion = len("user: Hi\n"), len(TEXT.encode()) + 1
    assert body["usage"] == {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    assert engine.requests[0].maximum_new_tokens == CONTEXT - prompt
    assert engine.requests[0].end_of_sequence == {END}


def test_a_streamed_chat_answer_has_openais_shape() -> None:
    response = post("/v1/chat/completions", chat(stream=True, stream_options={"include_usage": True}))
    assert response.headers["content-type"].startswith("text/event-stream")
    *chunks, done = events(response.text)
    assert done == "[DONE]"
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    *pieces, end, usage = chunks[1:]
    assert "".join(piece["choices"][0]["delta"]["content"] for piece in pieces) == TEXT
    assert all(piece["choices"][0]["finish_reason"] is None and piece["usage"] is None for piece in pieces)
    assert end["choices"][0]["delta"] == {}
    assert end["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == len(TEXT.encode()) + 1


def test_events_hide_the_length_of_their_text_and_hold_no_line_breaks() -> None:
    engine = ToyEngine("a\nbc\u2028d 漢字".encode())
    response = post("/v1/chat/completions", chat(stream=True), engine=engine)
    assert all((len(event.encode()) + 2) % 32 == 0 for event in response.text.split("\n\n")[:-2])
    assert response.text.isascii()
    pieces = [chunk["choices"][0]["delta"].get("content", "") for chunk in events(response.text)[:-1]]
    assert "".join(pieces) == "a\nbc\u2028d 漢字"


@pytest.mark.parametrize("prompt", ["Hi", ["Hi"], list(b"Hi"), [list(b"Hi")]])
def test_a_plain_completion_takes_text_or_token_ids(prompt: object) -> None:
    engine = ToyEngine(b"x" * 50)
    body = post("/v1/completions", {"model": MODEL, "prompt": prompt}, engine=engine).json()
    assert engine.requests[0].prompt == tuple(b"Hi")
    assert body["object"] == "text_completion"
    assert body["choices"] == [{"index": 0, "text": "x" * 16, "logprobs": None, "finish_reason": "length"}]


def test_a_plain_completion_streams() -> None:
    body = {"model": MODEL, "prompt": "Hi", "stream": True, "max_tokens": 100}
    *chunks, done = events(post("/v1/completions", body).text)
    assert done == "[DONE]"
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == TEXT
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks if chunk["choices"][0]["finish_reason"]] == [
        "stop"
    ]


@pytest.mark.parametrize("stream", [True, False])
def test_token_ids_come_where_they_are_asked_for(stream: bool) -> None:
    response = post("/v1/chat/completions", chat(stream=stream, return_token_ids=True))
    bodies = events(response.text)[:-1] if stream else [response.json()]
    choices = [body["choices"][0] for body in bodies]
    assert choices[0]["prompt_token_ids"] == list(b"user: Hi\n")
    assert [token for choice in choices for token in choice.get("token_ids", [])] == [*TEXT.encode(), END]


def test_parameters_reach_the_engine() -> None:
    engine = ToyEngine(b"one two three")
    numbers = {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "min_p": 0.05,
        "presence_penalty": 0.1,
        "frequency_penalty": -0.1,
        "repetition_penalty": 1.1,
        "seed": 7,
    }
    body = post("/v1/chat/completions", chat(**numbers, stop=[" th"], max_completion_tokens=10), engine=engine).json()
    assert body["choices"][0]["message"]["content"] == "one two"
    request = engine.requests[0]
    assert {name: getattr(request.sampling, name) for name in numbers} == numbers
    assert (request.stop, request.maximum_new_tokens) == ((" th",), 10)


def test_without_a_seed_two_requests_differ_in_theirs() -> None:
    engine = ToyEngine()
    post("/v1/chat/completions", chat(), engine=engine)
    post("/v1/chat/completions", chat(), engine=engine)
    first, second = engine.requests
    assert first.sampling.seed != second.sampling.seed


def test_content_parts_and_roles() -> None:
    engine = ToyEngine()
    turns = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]},
        {"role": "assistant", "content": "Yes?", "refusal": None, "tool_calls": []},
        {"role": "user", "content": "Well"},
    ]
    post("/v1/chat/completions", chat(messages=turns), engine=engine)
    assert bytes(engine.requests[0].prompt) == b"system: Be kind.\nuser: Hi\nassistant: Yes?\nuser: Well\n"


def test_a_conversation_has_a_most_number_of_turns() -> None:
    turn = {"role": "user", "content": ""}
    assert post("/v1/chat/completions", chat(messages=[turn] * 4097)).json()["error"]["param"] == "messages"
    assert post("/v1/chat/completions", chat(messages=[])).json()["error"]["param"] == "messages"


def test_a_large_body_is_parsed_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats share the loop: one that pauses for a second loses its workers."""
    beside = []

    def parse(data: bytes) -> object:
        beside.append(threading.current_thread() is not threading.main_thread())
        return parse_body(data)

    monkeypatch.setattr("mohawk.api.app.parse_body", parse)
    for tokens in (10, 100_000):
        post("/v1/completions", {"model": MODEL, "prompt": [1] * tokens})
    assert beside == [False, True]


def ask(method: str, path: str, headers: dict[str, str] | None = None, engine: ToyEngine | None = None):
    async def main() -> httpx.Response:
        transport = httpx.ASGITransport(application(engine or ToyEngine()))
        async with httpx.AsyncClient(transport=transport, base_url="https://api.example") as client:
            return await client.request(method, path, headers=headers or {})

    return asyncio.run(main())


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": f"Bearer {KEY}x"},
        {"authorization": KEY},
        {"authorization": f"Basic {KEY}"},
        {"authorization": "Bearer "},
        {"authorization": "Bearer " + "x" * 5000},
        {"x-api-key": KEY},
        {"authorization": "", "x-forwarded-for": "127.0.0.1"},
    ],
)
@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/models/toy", "/v1/chat/completions", "/v1/completions", "/nothing", "/healthz/"]
)
def test_every_route_but_health_asks_for_a_key(path: str, headers: dict[str, str]) -> None:
    for method in ("GET", "POST"):
        response = ask(method, path, headers)
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "invalid_api_key"
        assert response.headers["www-authenticate"] == "Bearer"


def test_two_keys_in_one_request_are_refused() -> None:
    async def main() -> httpx.Response:
        async with in_process(ToyEngine()) as client:
            headers = httpx.Headers([("authorization", f"Bearer {KEY}"), ("authorization", "Bearer other")])
            client.headers.clear()
            return await client.get("/v1/models", headers=headers)

    assert asyncio.run(main()).status_code == 401


def test_health_needs_no_key_and_says_nothing_else() -> None:
    engine = ToyEngine()
    assert ask("GET", "/healthz", engine=engine).json() == {"status": "ok"}
    engine.is_healthy = False
    response = ask("GET", "/healthz", engine=engine)
    assert (response.status_code, response.json()) == (503, {"status": "unavailable"})


def test_models() -> None:
    key = {"authorization": f"bearer {KEY}"}
    listed = ask("GET", "/v1/models", key).json()
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == [MODEL]
    assert ask("GET", "/v1/models/toy", key).json() == listed["data"][0]
    assert ask("GET", "/v1/models/other", key).status_code == 404


def test_another_model_is_not_found() -> None:
    response = post("/v1/chat/completions", chat(model="gpt-4"))
    assert response.status_code == 404
    assert response.json()["error"]["param"] == "model"


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/completions", 405), ("GET", "/v2", 404)])
def test_routing_errors_have_openais_shape(method: str, path: str, status: int) -> None:
    response = ask(method, path, {"authorization": f"Bearer {KEY}"})
    assert response.status_code == status
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


def test_every_answer_has_an_id_and_no_permission_for_other_sites() -> None:
    first, second = post("/v1/chat/completions", chat()), post("/v1/chat/completions", b"{")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    for response in (first, second):
        assert response.headers["x-request-id"].startswith("req_")
        assert "access-control-allow-origin" not in response.headers
        assert "date" in response.headers


def test_a_busy_engine_is_a_503_also_for_a_stream() -> None:
    for stream in (False, True):
        engine = ToyEngine()
        engine.fails_at, engine.failure = 0, UnavailableError("too many requests are waiting on worker w1")
        response = post("/v1/chat/completions", chat(stream=stream), engine=engine)
        assert response.status_code == 503
        assert response.headers["retry-after"] == "2"
        error = response.json()["error"]
        assert (error["type"], error["code"]) == ("server_error", "unavailable")
        assert "w1" not in error["message"]


def test_a_failure_inside_a_stream_is_an_event_and_the_end() -> None:
    engine = ToyEngine()
    engine.fails_at, engine.failure = 3, UnavailableError("worker w1 is gone")
    response = post("/v1/chat/completions", chat(stream=True), engine=engine)
    assert response.status_code == 200
    *chunks, last = events(response.text)
    assert len(chunks) > 1
    assert last["error"]["code"] == "unavailable"
    assert "[DONE]" not in response.text


def test_an_answer_that_only_stops_coming_is_a_failure() -> None:
    class Broken(ToyEngine):
        async def generate(self, request: object) -> AsyncIterator[object]:
            async for delta in super().generate(request):
                if delta.finish_reason is None:
                    yield delta

    assert post("/v1/chat/completions", chat(), engine=Broken()).status_code == 500
    response = post("/v1/chat/completions", chat(stream=True), engine=Broken())
    assert events(response.text)[-1]["error"]["code"] == "internal_error"


@pytest.mark.parametrize("stream", [True, False])
def test_a_log_line_names_the_request_and_not_its_words(stream: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mohawk")
    secret = "a secret prompt"
    engine = ToyEngine()
    engine.fails_at, engine.failure = 2, RuntimeError(f"broke on {secret}")
    response = post(
        "/v1/chat/completions", chat(messages=[{"role": "user", "content": secret}], stream=stream), engine=engine
    )
    assert response.headers["x-request-id"] in caplog.text
    assert "RuntimeError at tests.api.toy:" in caplog.text
    assert secret not in caplog.text
    assert KEY not in caplog.text


def test_the_clients_path_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mohawk")
    ask("GET", "/v1/%0d%0aforged%1b[31m", {"authorization": f"Bearer {KEY}"})
    assert "forged" not in caplog.text
    assert "other 404" in caplog.text
