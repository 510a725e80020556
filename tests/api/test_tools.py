"""Tools: offered, asked for, called, and their results given back; what a model cannot do is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mohawk.nouns.tools import CallStyle
from tests.api.toy import ToyEngine, chat, events, post, refused

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "of a place, today",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
TIME: dict[str, Any] = {"type": "function", "function": {"name": "time"}}
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Köln"}}\n</tool_call>'
NAMED = {"type": "function", "function": {"name": "time"}}


def strict(tool: dict[str, Any]) -> dict[str, Any]:
    return {**tool, "function": {**tool["function"], "strict": True}}


def grammar_of(engine: ToyEngine) -> str | None:
    grammar = engine.requests[0].sampling.grammar
    return None if grammar is None else json.loads(grammar.text)["grammars"][0]["lark_grammar"]


def ask(engine: ToyEngine, **fields: object) -> Any:
    response = post("/v1/chat/completions", chat(**fields), engine=engine)
    assert response.status_code == 200, response.text
    return response


def test_a_call_has_openais_shape() -> None:
    engine = ToyEngine(CALL.encode())
    [choice] = ask(engine, tools=[WEATHER, TIME]).json()["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    [call] = choice["message"]["tool_calls"]
    assert call["id"].startswith("call_")
    assert (call["type"], call["function"]["name"]) == ("function", "weather")
    assert json.loads(call["function"]["arguments"]) == {"city": "Köln"}
    assert engine.tools == [WEATHER, TIME]
    assert grammar_of(engine) is None


def test_streamed_calls_come_whole_and_numbered() -> None:
    engine = ToyEngine(f"Let me see.\n{CALL}\n{CALL}".encode())
    *chunks, end, done = events(ask(engine, tools=[WEATHER], stream=True).text)
    assert done == "[DONE]"
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert "".join(delta.get("content", "") for delta in deltas) == "Let me see.\n"
    calls = [call for delta in deltas for call in delta.get("tool_calls", [])]
    assert [call["index"] for call in calls] == [0, 1]
    assert len({call["id"] for call in calls}) == 2
    assert end["choices"][0]["finish_reason"] == "tool_calls"


def test_text_stays_text_where_a_tool_could_be_called() -> None:
    [choice] = ask(ToyEngine(b"No tool needed."), tools=[WEATHER]).json()["choices"]
    assert choice["message"] == {"role": "assistant", "content": "No tool needed.", "refusal": None}
    assert choice["finish_reason"] == "stop"


def test_without_tools_a_call_is_text_and_so_it_is_where_none_may_be_called() -> None:
    for fields in ({}, {"tools": [WEATHER], "tool_choice": "none"}, {"tools": []}, {"tools": None}):
        engine = ToyEngine(CALL.encode())
        [choice] = ask(engine, **fields).json()["choices"]
        assert choice["message"]["content"] == CALL
        assert engine.tools == []


@pytest.mark.parametrize("style", CallStyle)
def test_a_forced_call_is_forced_by_grammar(style: CallStyle) -> None:
    for choice, single, names in (
        ("required", False, ["weather", "time"]),
        (NAMED, True, ["time"]),
    ):
        engine = ToyEngine()
        engine.call_style = style
        ask(engine, tools=[WEATHER, TIME], tool_choice=choice)
        grammar = grammar_of(engine)
        assert grammar is not None
        assert [name for name in ("weather", "time") if json.dumps(f'"name": "{name}"')[1:-1] in grammar] == names
        assert "TEXT" not in grammar
        assert ("*" in grammar.splitlines()[0]) is not single
        assert [tool["function"]["name"] for tool in engine.tools] == names


@pytest.mark.parametrize(
    "fields", [{"tools": [strict(WEATHER), TIME]}, {"tools": [WEATHER], "parallel_tool_calls": False}]
)
def test_what_an_answer_must_keep_to_is_a_grammar_and_text_stays_possible(fields: dict[str, object]) -> None:
    engine = ToyEngine(b"text")
    ask(engine, **fields)
    grammar = grammar_of(engine)
    assert grammar is not None
    assert "TEXT" in grammar


def test_calls_and_results_reach_the_template() -> None:
    engine = ToyEngine()
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Köln"}'}}
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    ]
    ask(engine, messages=turns, tools=[WEATHER])
    prompt = bytes(engine.requests[0].prompt).decode()
    assert '"arguments": {"city": ' in prompt
    assert prompt.endswith("tool: rain\n")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"tools": [WEATHER, WEATHER]}, "tools"),
        ({"tools": [WEATHER] * 129}, "tools"),
        ({"tools": [{"type": "code_interpreter"}]}, "tools.0.type"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools.0.function.name"),
        ({"tools": [{"type": "function", "function": {"name": "a", "url": "x"}}]}, "url"),
        ({"tools": "weather"}, "tools"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": NAMED}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": "any"}, None),
        ({"tools": [WEATHER], "response_format": {"type": "json_object"}}, "response_format"),
        ({"tools": [WEATHER], "parallel_tool_calls": 1}, "parallel_tool_calls"),
        (
            {
                "tools": [strict({"type": "function", "function": {"name": "a", "parameters": {"const": "bomb"}}})],
                "tool_choice": "required",
            },
            "tools",
        ),
        (
            {
                "tools": [{"type": "function", "function": {"name": "a", "parameters": {"x-guidance": {}}}}],
                "tool_choice": "required",
            },
            "tools",
        ),
    ],
)
def test_what_is_no_offer_is_refused_by_name(fields: dict[str, object], field: str | None) -> None:
    if field is None:
        response = post("/v1/chat/completions", chat(**fields))
        assert response.status_code == 400
        assert response.json()["error"]["param"].startswith("tool_choice")
    else:
        refused(chat(**fields), field)


@pytest.mark.parametrize(
    "turn",
    [
        {"role": "tool", "content": "rain"},
        {"role": "user", "content": "Hi", "tool_call_id": "call_1"},
        {"role": "user", "content": None},
        {"role": "assistant"},
        {"role": "assistant", "tool_calls": []},
        {
            "role": "user",
            "content": "x",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "[1]"}}],
        },
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": NaN}'}}],
        },
    ],
)
def test_a_conversation_keeps_calls_and_results_apart(turn: dict[str, object]) -> None:
    refused(chat(messages=[{"role": "user", "content": "Hi"}, turn], tools=[WEATHER]), "messages")


def test_a_model_without_tools_says_so() -> None:
    for fields, field in (
        ({"tools": [WEATHER]}, "tools"),
        ({"messages": [{"role": "tool", "tool_call_id": "c", "content": "x"}]}, "messages"),
    ):
        engine = ToyEngine()
        engine.call_style = None
        response = post("/v1/chat/completions", chat(**fields), engine=engine)
        assert (response.status_code, response.json()["error"]["param"]) == (400, field)
