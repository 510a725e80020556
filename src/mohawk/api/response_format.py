"""`response_format`: plain text, any JSON object, or what a JSON Schema allows; as a grammar for the last stage.

Rules, and the attack each stops:
- A schema is held to always, `strict` or not: a client that checks the answer loses nothing by it.
- `x-guidance`, by which a schema could change how it is read, is refused; we set it ourselves.
- White space between two signs is bounded: a model that likes line breaks would else write nothing but them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from mohawk.api.strict import Strict
from mohawk.artifact.strict_json import JsonValue
from mohawk.errors import UsageError

GUIDANCE: JsonValue = {"whitespace_pattern": r"[\x20\x0A\x0D\x09]{0,16}"}
_ANY_OBJECT: Mapping[str, object] = {"type": "object"}
_NAME = r"^[A-Za-z0-9_-]{1,64}$"


class JsonSchema(Strict):
    """`strict` is accepted either way."""

    name: Annotated[str, Field(pattern=_NAME)]
    description: Annotated[str | None, Field(max_length=4096)] = None
    definition: Annotated[dict[str, object] | None, Field(alias="schema")] = None
    strict: bool | None = None


class ResponseFormat(Strict):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    def grammar(self) -> str | None:
        """llguidance's JSON; None for plain text. Raises UsageError naming the field."""
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise UsageError("json_schema goes with the type json_schema", field="response_format")
        if self.type == "text":
            return None
        definition = None if self.json_schema is None else self.json_schema.definition
        return schema_grammar(_ANY_OBJECT if definition is None else definition)


def schema_grammar(schema: Mapping[str, object]) -> str:
    """A JSON Schema as llguidance's JSON. Raises UsageError."""
    if "x-guidance" in schema:
        raise UsageError("x-guidance is not part of JSON Schema", field="response_format")
    grammar = {"grammars": [{"json_schema": {**schema, "x-guidance": GUIDANCE}}]}
    return json.dumps(grammar, ensure_ascii=False, separators=(",", ":"))
