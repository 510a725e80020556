"""Tool calls in text: found wherever tokens cut it, and nothing else is taken for one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mohawk.api.call_reader import CallReader, ToolCall

WEATHER = '{"name": "weather", "arguments": {"city": "Köln"}}'
TIME = '{"name": "time", "arguments": {}}'


def read(text: str, size: int = 1) -> tuple[str, list[ToolCall]]:
    reader = CallReader({"weather", "time"})
    pieces = [reader.push(text[place : place + size]) for place in range(0, len(text), size)]
    pieces.append(reader.finish())
    assert reader.has_calls == any(piece.calls for piece in pieces)
    return "".join(piece.text for piece in pieces), [call for piece in pieces for call in piece.calls]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize(
    ("text", "shown", "names"),
    [
        (f"<tool_call>\n{WEATHER}\n</tool_call>", "", ["weather"]),
        (f"Let me see.\n<tool_call>{WEATHER}</tool_call>\n<tool_call>{TIME}</tool_call>\n", "Let me see.\n", None),
        (f"<tool_call>{WEATHER}</tool_call> and then", " and then", ["weather"]),
        (f"<tool_call>\n{WEATHER}", "", ["weather"]),
        (f"\n{WEATHER}", "", ["weather"]),
        (WEATHER.replace("arguments", "parameters"), "", ["weather"]),
        (f"[{WEATHER}, {TIME}]", "", None),
    ],
)
def test_calls_are_found_however_the_text_is_cut(text: str, shown: str, names: list[str] | None, size: int) -> None:
    found, calls = read(text, size)
    assert found == shown
    assert [call.name for call in calls] == (names or ["weather", "time"])
    assert [call.index for call in calls] == list(range(len(calls)))
    assert len({call.id for call in calls}) == len(calls)
    assert json.loads(calls[0].arguments) == {"city": "Köln"}


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(
    "text",
    [
        "a < b, <tool> and <tool_call",
        "<tool_call>not JSON</tool_call>",
        '<tool_call>{"name": "other", "arguments": {}}</tool_call>',
        '<tool_call>{"name": "weather", "arguments": "x"}</tool_call>',
        '<tool_call>{"name": ["weather"], "arguments": {}}</tool_call>',
        '<tool_call>{"name": "weather", "arguments": {"city": "\\ud83d"}}</tool_call>',
        '{"name": "weather"}',
        '{"city": "Köln"}',
        "{ not JSON",
        f"[{WEATHER}, 1]",
        "[]",
        "   ",
        "[" * 100_000,
    ],
)
def test_what_is_no_call_is_shown_as_it_is(text: str, size: int) -> None:
    if size > 1 or len(text) < 1000:
        found, calls = read(text, size)
        assert (found.strip(), calls) == (text.strip(), [])


@given(st.lists(st.sampled_from(["<tool_call>", "</tool_call>", WEATHER, "<", "{", "]", "a", "\n", "tool_call>"])))
def test_no_text_breaks_the_reader_and_the_cut_changes_nothing(parts: list[str]) -> None:
    text = "".join(parts)
    whole, cut = read(text, max(1, len(text))), read(text, 3)
    assert whole[0].strip() == cut[0].strip()
    assert [call.arguments for call in whole[1]] == [call.arguments for call in cut[1]]
