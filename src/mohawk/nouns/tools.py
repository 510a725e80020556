"""How a model says that it wants a tool called."""

from __future__ import annotations

from enum import StrEnum


class CallStyle(StrEnum):
    """By what the model's chat template teaches it."""

    TAGS = "tags"
    """`<tool_call>{"name": …, "arguments": {…}}</tool_call>`, as often as wanted, between text (Hermes, Qwen)."""
    JSON = "json"
    """An answer that is nothing but `{"name": …, "parameters": {…}}`, or a list of these (Llama 3)."""

    @property
    def arguments(self) -> str:
        """The key of a call's arguments."""
        return "arguments" if self is CallStyle.TAGS else "parameters"


TAG = "<tool_call>"
END_TAG = "</tool_call>"
