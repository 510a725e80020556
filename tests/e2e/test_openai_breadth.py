"""The official client against real workers: logprobs, bias, choices, schemas, tools, and a client that leaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx
import openai
import pydantic
import pytest

from mohawk.api.server import serve
from mohawk.channel.stdlib_tls import api_server_context
from mohawk.controller.service import Controller
from mohawk.identity.certificates import issue_api_leaf
from mohawk.transport.dial import Target
from tests.api.serving import authority, post_quantum
from tests.api.toy import KEY, application
from tests.e2e.inside import Site
from tests.support.models import TOOL_TEMPLATE, build_model, write_tokenizer
from tests.support.nodes import run
from tests.support.tls import utc_now

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("up")]

SECONDS = 120
MESSAGES: Any = [{"role": "user", "content": "What is the weather like today?"}]
PERSON = {
    "type": "object",
    "properties": {"name": {"enum": ["Ada", "Jürgen"]}, "age": {"type": "integer", "minimum": 0, "maximum": 150}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "strict": True,
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"$ref": "#/$defs/city"},
                    "days": {"type": "integer", "minimum": 1, "maximum": 7},
                },
                "required": ["city", "days"],
                "additionalProperties": False,
                "$defs": {"city": {"enum": ["Köln", "Rome"]}},
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "clock",
            "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
        },
    },
]
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site") / "home")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = build_model(tmp_path_factory.mktemp("models") / "llama", "llama")
    write_tokenizer(folder, chat_template=TOOL_TEMPLATE)
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_bytes(tokenizer.read_bytes().ljust((2 << 20) + 1))  # travels to the last worker in three chunks
    return folder


@pytest.fixture(scope="module")
def workers(site: Site) -> Iterator[tuple[Target, ...]]:
    with site.worker_processes(2) as targets:
        yield targets


@asynccontextmanager
async def served(
    site: Site, source: Path, workers: tuple[Target, ...]
) -> AsyncIterator[tuple[Controller, openai.AsyncOpenAI]]:
    async with site.serving(source, workers) as controller:
        leaf = issue_api_leaf(authority().issuing, ("localhost", "127.0.0.1"), utc_now())
        served_app: Any = application(controller.engine)  # type: ignore[arg-type]
        server = await serve(served_app, "127.0.0.1", 0, api_server_context(leaf.chain, leaf.key))
        try:
            async with httpx.AsyncClient(verify=post_quantum(), timeout=SECONDS) as http:
                url = f"https://localhost:{server.port}/v1"
                yield controller, openai.AsyncOpenAI(base_url=url, api_key=KEY, http_client=http, max_retries=0)
        finally:
            await server.close(grace_seconds=0.5)


Ask = Callable[[Controller, openai.AsyncOpenAI], Awaitable[None]]


def serve_and(ask: Ask, site: Site, source: Path, workers: tuple[Target, ...]) -> None:
    async def main() -> None:
        async with served(site, source, workers) as (controller, client):
            await ask(controller, client)

    run(main, seconds=SECONDS)


def test_the_official_client_is_told_and_may_ask_for_all_of_it(
    site: Site, source: Path, workers: tuple[Target, ...]
) -> None:
    serve_and(ask_for_everything, site, source, workers)


async def ask_for_everything(controller: Controller, client: openai.AsyncOpenAI) -> None:
    """One after the other on one cluster, which takes some seconds to come up."""
    model = controller.engine.model_id
    await see_logprobs(client, model)
    await see_bias(client, model)
    await see_choices(client, model)
    await see_schema(client, model)
    await see_schema_streamed_beside_others(client, model)
    await see_the_clients_own_helpers(client, model)
    await see_forced_calls(client, model)
    await see_a_conversation_with_tools(client, model)
    await see_refusals(client, model)
    await see_cancellation(controller, client, model)


async def see_logprobs(client: openai.AsyncOpenAI, model: str) -> None:
    answer = await client.chat.completions.create(
        model=model, messages=MESSAGES, max_tokens=8, temperature=0, logprobs=True, top_logprobs=3
    )
    [choice] = answer.choices
    assert choice.logprobs is not None
    assert choice.logprobs.content
    for entry in choice.logprobs.content:
        assert len(entry.top_logprobs) == 3
        assert entry.top_logprobs[0].token == entry.token, "greedy takes the likeliest"
        assert entry.logprob == entry.top_logprobs[0].logprob <= 0
    spoken = b"".join(bytes(entry.bytes or ()) for entry in choice.logprobs.content)
    assert spoken.decode("utf-8", "replace").strip() == (choice.message.content or "").strip()


async def see_bias(client: openai.AsyncOpenAI, model: str) -> None:
    answer = await client.completions.create(
        model=model, prompt="What", max_tokens=5, logit_bias={"70": 100}, extra_body={"return_token_ids": True}
    )
    assert answer.choices[0].model_extra is not None
    assert answer.choices[0].model_extra["token_ids"] == [70] * 5


async def see_choices(client: openai.AsyncOpenAI, model: str) -> None:
    asked: Any = {"model": model, "messages": MESSAGES, "max_tokens": 12, "n": 3, "seed": 4, "temperature": 1.5}
    first = await client.chat.completions.create(**asked)
    again = await client.chat.completions.create(**asked)
    texts = [choice.message.content for choice in first.choices]
    assert texts == [choice.message.content for choice in again.choices]
    assert len(set(texts)) > 1


async def see_schema(client: openai.AsyncOpenAI, model: str) -> None:
    for seed in range(3):
        answer = await client.chat.completions.create(
            model=model, messages=MESSAGES, max_tokens=200, seed=seed, temperature=1.5, response_format=FORMAT
        )
        check_person(answer.choices[0].message.content, answer.choices[0].finish_reason)


async def see_schema_streamed_beside_others(client: openai.AsyncOpenAI, model: str) -> None:
    async def ask(**fields: Any) -> tuple[str, str | None]:
        stream = await client.chat.completions.create(
            model=model, messages=MESSAGES, max_tokens=200, temperature=1.0, stream=True, **fields
        )
        text, reason = "", None
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
            reason = chunk.choices[0].finish_reason or reason
        return text, reason

    alone, _ = await ask(seed=1)
    person, (beside, _), another = await asyncio.gather(
        ask(seed=1, response_format=FORMAT), ask(seed=1), ask(seed=2, response_format=FORMAT)
    )
    check_person(*person)
    check_person(*another)
    assert beside == alone, "a neighbour's grammar plays no part"


class Person(pydantic.BaseModel):
    name: Literal["Ada", "Jürgen"]
    age: Annotated[int, pydantic.Field(ge=0, le=150)]


async def see_the_clients_own_helpers(client: openai.AsyncOpenAI, model: str) -> None:
    """What it makes of a class, whole and streamed, and of a tool that is one."""
    parsed = await client.chat.completions.parse(model=model, messages=MESSAGES, response_format=Person, seed=1)
    assert isinstance(parsed.choices[0].message.parsed, Person)
    async with client.chat.completions.stream(model=model, messages=MESSAGES, response_format=Person, seed=2) as stream:
        final = await stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, Person)
    tools: Any = [openai.pydantic_function_tool(Person, name="meet")]
    async with client.chat.completions.stream(
        model=model, messages=MESSAGES, tools=tools, tool_choice="required", parallel_tool_calls=False
    ) as stream:
        [call] = (await stream.get_final_completion()).choices[0].message.tool_calls or ()
    assert isinstance(call.function.parsed_arguments, Person)


async def see_forced_calls(client: openai.AsyncOpenAI, model: str) -> None:
    """A random model calls nothing by itself, so that each of these calls is the grammar's work."""
    asked: Any = {"model": model, "messages": MESSAGES, "temperature": 1.0}
    named = {"type": "function", "function": {"name": "weather"}}
    answer = await client.chat.completions.create(**asked, tools=TOOLS, tool_choice=named)
    [choice] = answer.choices
    assert choice.finish_reason == "tool_calls"
    assert [check_call(call) for call in choice.message.tool_calls or ()] == ["weather"]
    calls: dict[int, list[str]] = {}
    stream = await client.chat.completions.create(
        **asked, tools=TOOLS[1:], tool_choice="required", parallel_tool_calls=False, stream=True, seed=3
    )
    async for chunk in stream:
        for piece in chunk.choices[0].delta.tool_calls or ():
            assert piece.function is not None
            calls.setdefault(piece.index, []).append(piece.function.name or "")
    assert calls == {0: ["clock"]}


async def see_a_conversation_with_tools(client: openai.AsyncOpenAI, model: str) -> None:
    first = await client.chat.completions.create(
        model=model, messages=MESSAGES, tools=TOOLS[1:], tool_choice="required", parallel_tool_calls=False
    )
    message = first.choices[0].message
    assert message.tool_calls
    results: Any = [{"role": "tool", "tool_call_id": call.id, "content": "rain"} for call in message.tool_calls]
    again: Any = [*MESSAGES, message, *results]
    second = await client.chat.completions.create(model=model, messages=again, tools=TOOLS[1:], max_tokens=8)
    assert second.usage is not None
    assert first.usage is not None
    assert second.usage.prompt_tokens > first.usage.prompt_tokens


def check_call(call: Any) -> str:
    arguments = json.loads(call.function.arguments)
    if call.function.name == "weather":
        assert set(arguments) == {"city", "days"}
        assert arguments["city"] in ("Köln", "Rome")
        assert 1 <= arguments["days"] <= 7
    else:
        assert arguments == {}
    return str(call.function.name)


async def see_refusals(client: openai.AsyncOpenAI, model: str) -> None:
    bad: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"not": {"type": "string"}}}}
    with pytest.raises(openai.BadRequestError, match="not") as refusal:
        await client.chat.completions.create(model=model, messages=MESSAGES, response_format=bad)
    assert refusal.value.param == "response_format"


async def see_cancellation(controller: Controller, client: openai.AsyncOpenAI, model: str) -> None:
    stream = await client.chat.completions.create(
        model=model, messages=MESSAGES, stream=True, n=2, logit_bias={"2": -100, "0": -100}
    )
    async for _chunk in stream:
        assert controller.status().running_sequences > 0
        break
    await stream.close()
    for _ in range(500):
        if controller.status().kv_tokens_used == 0:
            break
        await asyncio.sleep(0.01)
    assert controller.status().kv_tokens_used == 0, "a client that leaves gives its room back"


def check_person(text: str | None, reason: str | None) -> None:
    assert reason == "stop", text
    person = json.loads(text or "")
    assert set(person) == {"name", "age"}
    assert person["name"] in PERSON["properties"]["name"]["enum"]  # type: ignore[index]
    assert 0 <= person["age"] <= 150
