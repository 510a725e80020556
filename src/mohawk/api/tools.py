"""Tools: what a client may offer, how it asks for their use, and calls and results in its conversation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from mohawk.api.strict import Strict
from mohawk.api.tool_grammar import Parameters, tool_grammar
from mohawk.artifact.strict_json import JsonObject, parse_object
from mohawk.errors import ArtifactError, UsageError
from mohawk.nouns.tools import CallStyle

MAXIMUM_TOOLS = 128
_MAXIMUM_ARGUMENTS = 1 << 20
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Function(Strict):
    name: _Name
    description: Annotated[str | None, Field(max_length=16384)] = None
    parameters: dict[str, object] | None = None
    strict: bool | None = None


class Tool(Strict):
    type: Literal["function"]
    function: Function

    def plain(self) -> dict[str, object]:
        """As chat templates take it."""
        function = self.function.model_dump(exclude={"strict"}, exclude_none=True)
        return {"type": "function", "function": function}


class NamedFunction(Strict):
    name: _Name


class NamedTool(Strict):
    type: Literal["function"]
    function: NamedFunction


ToolChoice = Literal["none", "auto", "required"] | NamedTool


class CalledFunction(Strict):
    name: _Name
    arguments: str


class Call(Strict):
    """A call in the conversation, as an earlier answer had it."""

    id: Annotated[str, Field(max_length=256)]
    type: Literal["function"]
    function: CalledFunction

    def plain(self) -> JsonObject:
        """As chat templates take it: arguments as an object. Raises UsageError."""
        data = self.function.arguments.encode("utf-8")
        try:
            arguments = parse_object(data, limit=_MAXIMUM_ARGUMENTS, tokens=len(data))
        except ArtifactError as error:
            raise UsageError(f"a tool call's arguments are {error.message}", field="messages") from None
        return {"id": self.id, "type": "function", "function": {"name": self.function.name, "arguments": arguments}}


@dataclass(frozen=True, slots=True)
class Offer:
    """The tools that the model may call, at least one. `is_forced`: it must; `is_single`: once at most."""

    tools: tuple[Tool, ...]
    is_forced: bool
    is_single: bool

    @property
    def names(self) -> frozenset[str]:
        return frozenset(tool.function.name for tool in self.tools)

    def grammar(self, style: CallStyle) -> str | None:
        """What the answer must keep to, where it must; None while every answer is good. Raises UsageError."""
        if not (self.is_forced or self.is_single or any(tool.function.strict for tool in self.tools)):
            return None
        tools = [(tool.function.name, _parameters(tool.function, is_forced=self.is_forced)) for tool in self.tools]
        return tool_grammar(tools, style, is_forced=self.is_forced, is_single=self.is_single)


def read_offer(tools: Sequence[Tool], choice: ToolChoice | None, *, is_parallel: bool) -> Offer | None:
    """None where no tool may be called. Raises UsageError naming the field."""
    names = [tool.function.name for tool in tools]
    if len(set(names)) < len(names):
        raise UsageError("two tools of one name", field="tools")
    if not tools:
        if choice not in (None, "none"):
            raise UsageError("tool_choice needs tools", field="tool_choice")
        return None
    if choice == "none":
        return None
    if isinstance(choice, NamedTool):
        named = tuple(tool for tool in tools if tool.function.name == choice.function.name)
        if not named:
            raise UsageError("tool_choice names no tool that is offered", field="tool_choice")
        return Offer(named, is_forced=True, is_single=True)
    return Offer(tuple(tools), is_forced=choice == "required", is_single=not is_parallel)


def _parameters(function: Function, *, is_forced: bool) -> Parameters | None:
    """The schema that the arguments are held to: always when the call is forced, else when the tool is strict."""
    if function.parameters is None or not (is_forced or function.strict):
        return None
    if "x-guidance" in function.parameters:
        raise UsageError("x-guidance is not part of JSON Schema", field="tools")
    return function.parameters
