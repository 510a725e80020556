"""Tool calls in a model's answer, as its text comes.

Read are both styles of `CallStyle`: tags anywhere, and an answer that is nothing but JSON. What looks like a call and
is none of the tools that were offered is shown as the text that it is. A call is given out whole.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from mohawk.nouns.tools import END_TAG, TAG


@dataclass(frozen=True, slots=True)
class ToolCall:
    """`arguments`: a JSON object, as text."""

    index: int
    id: str
    name: str
    arguments: str

    def body(self) -> dict[str, object]:
        function = {"name": self.name, "arguments": self.arguments}
        return {"id": self.id, "type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a piece of text brought: text to show, calls that became complete."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()


class CallReader:
    """One answer's. `tools`: the names that may be called."""

    def __init__(self, tools: Collection[str]) -> None:
        self._tools = frozenset(tools)
        self._held = ""
        self._is_json: bool | None = None
        """Whether the answer is nothing but JSON; None until its first visible character."""
        self._calls = 0
        self._blank = ""
        """White space behind the last call."""

    @property
    def has_calls(self) -> bool:
        return self._calls > 0

    def push(self, text: str) -> Reading:
        self._held += text
        if self._is_json is None:
            begin = self._held.lstrip()
            if not begin:
                return Reading()
            self._is_json = begin[0] in "{["
        return Reading() if self._is_json else self._read_tags()

    def finish(self) -> Reading:
        """The rest: a call whose end tag the model left out counts; anything else is text."""
        held, self._held = self._held, ""
        if self._is_json:
            calls = self._parse(held)
            return Reading(calls=calls) if calls else Reading(held)
        if held.startswith(TAG):
            calls = self._parse(held.removeprefix(TAG))
            return Reading(calls=calls) if calls else Reading(held)
        return Reading(self._visible(held))

    def _read_tags(self) -> Reading:
        shown, calls = "", list[ToolCall]()
        while True:
            begin = self._held.find(TAG)
            if begin < 0:
                kept = _beginning_of_tag(self._held)
                shown += self._visible(self._held[: len(self._held) - kept])
                self._held = self._held[len(self._held) - kept :]
                return Reading(shown, tuple(calls))
            shown += self._visible(self._held[:begin])
            self._held = self._held[begin:]
            end = self._held.find(END_TAG)
            if end < 0:
                return Reading(shown, tuple(calls))
            found = self._parse(self._held[len(TAG) : end])
            shown += "" if found else self._held[: end + len(END_TAG)]
            calls += found
            self._held = self._held[end + len(END_TAG) :]

    def _visible(self, text: str) -> str:
        """White space behind a call is no text, unless some follows."""
        if not self.has_calls:
            return text
        text, self._blank = self._blank + text, ""
        if text.strip():
            return text
        self._blank = text
        return ""

    def _parse(self, text: str) -> tuple[ToolCall, ...]:
        """The calls in a JSON text; none when it is anything else."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            return ()
        entries = document if isinstance(document, list) else [document]
        read = [self._parse_one(entry) for entry in entries]
        calls = [call for call in read if call is not None]
        if len(calls) < len(read):
            return ()
        numbered = tuple(
            ToolCall(self._calls + place, f"call_{uuid.uuid4().hex[:24]}", name, arguments)
            for place, (name, arguments) in enumerate(calls)
        )
        self._calls += len(numbered)
        self._blank = ""
        return numbered

    def _parse_one(self, entry: object) -> tuple[str, str] | None:
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(name, str) or name not in self._tools:
            return None
        arguments = entry.get("arguments", entry.get("parameters"))
        if not isinstance(arguments, dict):
            return None
        text = json.dumps(arguments, ensure_ascii=False)
        return (name, text) if _is_encodable(text) else None


def _is_encodable(text: str) -> bool:
    """Whether it can be sent: JSON lets a model write half a surrogate pair, which UTF-8 has no bytes for."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _beginning_of_tag(text: str) -> int:
    """Characters at the end of `text` that may become a tag."""
    return next((size for size in range(min(len(TAG) - 1, len(text)), 0, -1) if TAG.startswith(text[-size:])), 0)
