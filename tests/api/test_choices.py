"""Several choices of one prompt, logit bias and logprobs, as OpenAI has them."""

from __future__ import annotations

import asyncio

import pytest

from mohawk.errors import UnavailableError
from mohawk.nouns.sampling import LogitBias
from tests.api.toy import MODEL, ToyEngine, chat, events, in_process, post, refused

TEXT = "Grüße 😀"


def test_choices_come_under_their_index_and_the_prompt_counts_once() -> None:
    engine = ToyEngine()
    body = post("/v1/chat/completions", chat(n=3, seed=5), engine=engine).json()
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert {choice["message"]["content"] for choice in body["choices"]} == {TEXT}
    prompt, completion = len("user: Hi\n"), 3 * (len(TEXT.encode()) + 1)
    assert (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]) == (prompt, completion)


def test_each_choice_has_a_seed_of_its_own_and_the_same_again() -> None:
    first, again = ToyEngine(), ToyEngine()
    for engine in (first, again):
        post("/v1/chat/completions", chat(n=3, seed=5), engine=engine)
    seeds = [request.sampling.seed for request in first.requests]
    assert seeds[0] == 5
    assert len(set(seeds)) == 3
    assert seeds == [request.sampling.seed for request in again.requests]


def test_streamed_choices_each_begin_and_end_once() -> None:
    body = chat(n=2, stream=True, stream_options={"include_usage": True})
    *chunks, usage, done = events(post("/v1/chat/completions", body).text)
    assert done == "[DONE]"
    assert usage["usage"]["completion_tokens"] == 2 * (len(TEXT.encode()) + 1)
    for index in range(2):
        own = [chunk["choices"][0] for chunk in chunks if chunk["choices"][0]["index"] == index]
        assert own[0]["delta"] == {"role": "assistant", "content": ""}
        assert "".join(choice["delta"].get("content", "") for choice in own) == TEXT
        assert [choice["finish_reason"] for choice in own if choice["finish_reason"]] == ["stop"]
        assert own[-1]["finish_reason"] == "stop"


@pytest.mark.parametrize("n", [0, 9, -1, True, 1.0, "2"])
def test_choices_are_a_small_number(n: object) -> None:
    refused(chat(n=n), "n")
    refused({"model": MODEL, "prompt": "x", "n": n}, "n", path="/v1/completions")


@pytest.mark.parametrize("stream", [True, False])
def test_a_choice_that_fails_ends_the_others(stream: bool) -> None:
    engine = ToyEngine()
    engine.fails_at, engine.failure = 3, UnavailableError("worker w1 is gone")
    response = post("/v1/chat/completions", chat(n=4, stream=stream), engine=engine)
    assert "unavailable" in response.text
    assert "[DONE]" not in response.text
    assert engine.running == 0


def test_a_client_that_leaves_ends_every_choice() -> None:
    async def main() -> None:
        engine = ToyEngine()
        engine.waits_at = 2
        async with in_process(engine) as client:
            asking = asyncio.create_task(client.post("/v1/chat/completions", json=chat(n=4)))
            await engine.waiting.wait()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        assert engine.running == 0

    asyncio.run(main())


def test_logit_bias_reaches_the_engine() -> None:
    engine = ToyEngine()
    post("/v1/chat/completions", chat(logit_bias={"7": -100, "256": 2.5}), engine=engine)
    assert engine.requests[0].sampling.logit_bias == (LogitBias(7, -100.0), LogitBias(256, 2.5))


@pytest.mark.parametrize(
    "bias",
    [
        {"257": 1},
        {"-1": 1},
        {"x": 1},
        {"01": 1},
        {"٣": 1},
        {"1": 101},
        {"1": -100.5},
        {"1": True},
        {"1": "5"},
        {"1": None},
        {"1": 10**400},
        {str(token): 1 for token in range(301)},
        [[1, 2]],
    ],
)
def test_logit_bias_is_bounded_and_for_tokens_of_the_model(bias: object) -> None:
    refused(chat(logit_bias=bias), "logit_bias")
    refused({"model": MODEL, "prompt": "x", "logit_bias": bias}, "logit_bias", path="/v1/completions")


@pytest.mark.parametrize("stream", [True, False])
def test_chat_logprobs_have_one_entry_for_each_token_of_the_text(stream: bool) -> None:
    response = post("/v1/chat/completions", chat(logprobs=True, top_logprobs=2, stream=stream))
    bodies = events(response.text)[:-1] if stream else [response.json()]
    told = [body["choices"][0]["logprobs"] for body in bodies]
    content = [entry for one in told if one is not None for entry in one["content"]]
    assert bytes(byte for entry in content for byte in entry["bytes"]) == TEXT.encode()
    assert [entry["token"] for entry in content[:3]] == ["G", "r", "bytes:\\xc3"]
    assert {entry["logprob"] for entry in content} == {-0.25}
    assert content[0]["top_logprobs"] == [
        {"token": "H", "logprob": -1.0, "bytes": [ord("H")]},
        {"token": "I", "logprob": -2.0, "bytes": [ord("I")]},
    ]


def test_a_pieces_logprobs_are_those_of_its_text() -> None:
    response = post("/v1/chat/completions", chat(logprobs=True, stream=True))
    for chunk in events(response.text)[1:-2]:
        choice = chunk["choices"][0]
        spoken = b"".join(bytes(entry["bytes"]) for entry in choice["logprobs"]["content"])
        assert spoken.decode() == choice["delta"]["content"]


def test_what_a_stop_string_takes_back_has_no_logprobs() -> None:
    body = chat(logprobs=True, stop=["END"])
    choice = post("/v1/chat/completions", body, engine=ToyEngine(b"an END")).json()["choices"][0]
    assert choice["message"]["content"] == "an "
    assert [entry["token"] for entry in choice["logprobs"]["content"]] == ["a", "n", " "]


def test_completions_have_the_older_shape_of_logprobs() -> None:
    body = post("/v1/completions", {"model": MODEL, "prompt": "x", "logprobs": 1}, engine=ToyEngine(b"ab")).json()
    assert body["choices"][0]["logprobs"] == {
        "tokens": ["a", "b"],
        "token_logprobs": [-0.25, -0.25],
        "top_logprobs": [{"b": -1.0}, {"c": -1.0}],
        "text_offset": [0, 1],
    }
    plain = post("/v1/completions", {"model": MODEL, "prompt": "x", "logprobs": False}).json()
    assert plain["choices"][0]["logprobs"] is None


def test_logprobs_are_bounded() -> None:
    refused(chat(logprobs=True, top_logprobs=21), "top_logprobs")
    refused(chat(top_logprobs=2), "top_logprobs")
    refused(chat(logprobs=2), "logprobs")
    for logprobs in (21, -1, True, "1"):
        refused({"model": MODEL, "prompt": "x", "logprobs": logprobs}, "logprobs", path="/v1/completions")


def test_an_engine_that_keeps_logprobs_to_itself_is_our_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.api.toy._logprobs", lambda request, token: None)
    assert post("/v1/chat/completions", chat(logprobs=True)).status_code == 500
