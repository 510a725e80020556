"""`response_format`: what reaches the engine as a grammar, and what is refused before."""

from __future__ import annotations

import json

import pytest

from mohawk.nouns.sampling import MAXIMUM_GRAMMAR
from tests.api.toy import END, ToyEngine, chat, post, refused

SCHEMA = {"type": "object", "properties": {"größe": {"type": "integer"}}, "required": ["größe"]}


def schema_format(schema: object, **fields: object) -> dict[str, object]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, **fields}}


@pytest.mark.parametrize("strict", [True, False, None])
def test_a_schema_reaches_the_engine_after_its_trial(strict: object) -> None:
    engine = ToyEngine()
    body = chat(response_format=schema_format(SCHEMA, strict=strict, description="what to say"))
    assert post("/v1/chat/completions", body, engine=engine).status_code == 200
    grammar = engine.requests[0].sampling.grammar
    assert grammar is not None
    assert engine.grammars == [grammar]
    assert grammar.ends == (END,)
    [part] = json.loads(grammar.text)["grammars"]
    guidance = part["json_schema"].pop("x-guidance")
    assert guidance["whitespace_pattern"].endswith("{0,16}")
    assert part["json_schema"] == SCHEMA


def test_any_object_is_a_schema_too() -> None:
    engine = ToyEngine()
    post("/v1/chat/completions", chat(response_format={"type": "json_object"}), engine=engine)
    grammar = engine.requests[0].sampling.grammar
    assert grammar is not None
    assert json.loads(grammar.text)["grammars"][0]["json_schema"]["type"] == "object"


def test_plain_text_has_no_grammar() -> None:
    for response_format in (None, {"type": "text"}):
        engine = ToyEngine()
        post("/v1/chat/completions", chat(response_format=response_format), engine=engine)
        assert engine.requests[0].sampling.grammar is None
        assert engine.grammars == []


@pytest.mark.parametrize(
    ("response_format", "field"),
    [
        ({"type": "grammar"}, "response_format.type"),
        ({}, "response_format.type"),
        ("json", "response_format"),
        ({"type": "json_schema"}, "response_format"),
        ({"type": "text", "json_schema": {"name": "a"}}, "response_format"),
        ({"type": "json_object", "regex": "a"}, "regex"),
        (schema_format([]), "response_format.json_schema.schema"),
        (schema_format(SCHEMA, name="a b"), "response_format.json_schema.name"),
        (schema_format(SCHEMA, lenient=True), "lenient"),
        (schema_format({**SCHEMA, "x-guidance": {"lenient": True}}), "response_format"),
        (schema_format({"const": "bomb"}), "response_format"),
        (schema_format({"const": "x" * MAXIMUM_GRAMMAR}), "response_format"),
    ],
)
def test_what_is_no_format_is_refused_by_name(response_format: object, field: str) -> None:
    refused(chat(response_format=response_format), field)
