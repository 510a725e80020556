"""Tool calls as a grammar, in llguidance's variant of Lark: forced calls, and calls that must keep to their schema.

Each tool's parameters are a JSON Schema of their own, so that its references keep their meaning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from mohawk.api.response_format import GUIDANCE
from mohawk.nouns.tools import END_TAG, TAG, CallStyle

Parameters = Mapping[str, object]

_ANY_ARGUMENTS: Parameters = {"type": "object"}


def tool_grammar(
    tools: Sequence[tuple[str, Parameters | None]], style: CallStyle, *, is_forced: bool, is_single: bool
) -> str:
    """llguidance's JSON for an answer that calls these tools (name, parameters), in the order of the model's choosing.

    `is_forced`: at least one call and nothing else; `is_single`: at most one call.
    """
    rules = [f"call: {' | '.join(f'call_{index}' for index in range(len(tools)))}"]
    for index, (name, parameters) in enumerate(tools):
        begin = f'{{"name": {json.dumps(name)}, "{style.arguments}": '
        end = "}"
        if style is CallStyle.TAGS:
            begin, end = f"\n{begin}", f"{end}\n{END_TAG}"
        schema = {**(_ANY_ARGUMENTS if parameters is None else parameters), "x-guidance": GUIDANCE}
        rules.append(f"call_{index}: {json.dumps(begin)} arguments_{index} {json.dumps(end)}")
        rules.append(f"arguments_{index}: %json {json.dumps(schema, ensure_ascii=False)}")
    start = _tags(is_forced=is_forced, is_single=is_single) if style is CallStyle.TAGS else _json(is_forced, is_single)
    lark = "\n".join([*start, *rules])
    return json.dumps({"grammars": [{"lark_grammar": lark}]}, ensure_ascii=False, separators=(",", ":"))


def _tags(*, is_forced: bool, is_single: bool) -> list[str]:
    """Text that a call follows ends with the call's tag: as a token of its own it would have no clear end."""
    if is_forced:
        return [f'start: "{TAG}" call' + ("" if is_single else f' ("\\n{TAG}" call)*')]
    return [
        f"start: (text_and_tag call){'?' if is_single else '*'} TEXT?",
        f"text_and_tag[lazy]: /(?s:.*){TAG}/",
        f"TEXT: /(?s:.+)/ & ~/(?s:.*){TAG}(?s:.*)/",
    ]


def _json(is_forced: bool, is_single: bool) -> list[str]:  # noqa: FBT001 - named by its only caller
    calls = "call" if is_single else 'call | "[" call (", " call)* "]"'
    if is_forced:
        return [f"start: {calls}"]
    return [f"start: TEXT? | {calls}", r"TEXT: /(?s:\s*[^\s{\[].*)/"]
