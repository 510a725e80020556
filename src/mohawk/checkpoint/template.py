"""Chat messages -> prompt text, by the model's own template, in a child process that can be killed.

Python cannot interrupt a template that multiplies strings in C, so time and memory are bounded from outside: a warm
child, 200 ms per rendering, killed and replaced beyond it. The template is the model's and only the model's: a client
cannot send one (I08).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from mohawk.artifact.strict_json import JsonObject, JsonValue, parse_object
from mohawk.checkpoint.child import Child
from mohawk.checkpoint.settings import parse_side_object
from mohawk.checkpoint.template_child import REPLY_LIMIT, REQUEST_LIMIT
from mohawk.errors import ArtifactError, TooLargeError, UnsupportedModelError, UsageError
from mohawk.nouns.tools import TAG, CallStyle

DEADLINE_SECONDS = 0.2
_START_SECONDS = 5.0
_BLOCK = 1 << 16
_TOKEN_NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")

Message = Mapping[str, JsonValue]
"""At least `role` and `content`, as the API has them."""


def read_template(sides: Mapping[str, bytes]) -> str | None:
    """The model's chat template, or None: chat_template.jinja, else tokenizer_config.json's. Raises ArtifactError."""
    if "chat_template.jinja" in sides:
        try:
            return sides["chat_template.jinja"].decode("utf-8")
        except UnicodeDecodeError as error:
            raise ArtifactError("chat_template.jinja is not UTF-8") from error
    template = parse_side_object(sides.get("tokenizer_config.json", b"{}")).get("chat_template")
    if isinstance(template, list):
        named = [item for item in template if isinstance(item, dict) and item.get("name") == "default"]
        template = named[0].get("template") if named else None
    if template is not None and not isinstance(template, str):
        raise ArtifactError("tokenizer_config.json: a chat template that is not text")
    return template


def read_special_tokens(sides: Mapping[str, bytes]) -> dict[str, str]:
    """The special tokens that a template may name, for example `bos_token`. Raises ArtifactError."""
    config = parse_side_object(sides.get("tokenizer_config.json", b"{}"))
    tokens: dict[str, str] = {}
    for name in _TOKEN_NAMES:
        value = config.get(name)
        content = value.get("content") if isinstance(value, dict) else value
        if isinstance(content, str):
            tokens[name] = content
    return tokens


class ChatTemplate:
    """A model's template, ready to render. Threads may share it; renderings follow one another.

    `close` ends its child.
    """

    def __init__(self, template: str, tokens: Mapping[str, str]) -> None:
        """Raises UnsupportedModelError when the template does not compile within bounds, HostError without a child."""
        self._start_line = _encode_line({"template": template, "tokens": dict(tokens)})
        self._teaches_tags = TAG in template
        self._lock = threading.Lock()
        self._renderer = _Renderer(self._start_line)
        try:
            self._takes_tools = self._renderer.await_ready()
        except UsageError as error:
            self._renderer.kill()
            raise UnsupportedModelError("the model's chat template does not compile within its bounds") from error

    @property
    def call_style(self) -> CallStyle | None:
        """How the model calls tools, by what its template says of it; None when it is never told of any."""
        if not self._takes_tools:
            return None
        return CallStyle.TAGS if self._teaches_tags else CallStyle.JSON

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, object]] = (),
        *,
        add_generation_prompt: bool = True,
        now: datetime,
    ) -> str:
        """The prompt. Blocks up to 200 ms (after a replaced child, for its start as well).

        Raises UsageError (the template refuses the messages, or exceeds its bounds on them), TooLargeError, HostError.
        """
        line = _encode_line(
            {
                "messages": [dict(message) for message in messages],
                "tools": list(tools) or None,
                "add_generation_prompt": add_generation_prompt,
                "now": now.isoformat(),
            }
        )
        with self._lock:
            if not self._renderer.is_alive():
                self._renderer.kill()
                self._renderer = _Renderer(self._start_line)
            try:
                self._renderer.await_ready()
                reply = self._renderer.exchange(line, DEADLINE_SECONDS)
            except UsageError:
                self._renderer.kill()
                self._renderer = _Renderer(self._start_line)
                raise
        return _read_text(reply)

    def close(self) -> None:
        """End the child; nothing can be rendered afterwards."""
        with self._lock:
            self._renderer.kill()


def _encode_line(request: Mapping[str, object]) -> bytes:
    try:
        line = json.dumps(request, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"
    except UnicodeEncodeError as error:
        raise UsageError("the messages hold half of a surrogate pair, which no text has", field="messages") from error
    except ValueError as error:
        raise UsageError("the messages hold a number that is not finite", field="messages") from error
    if len(line) >= REQUEST_LIMIT:
        raise TooLargeError("the messages are too long", field="messages")
    return line


def _parse_reply(reply: bytes) -> JsonObject:
    """The child speaks our JSON; but it runs a stranger's program, so what it says is parsed like a stranger's."""
    return parse_object(reply, limit=REPLY_LIMIT + _BLOCK, tokens=len(reply))


def _read_text(reply: bytes) -> str:
    answer = _parse_reply(reply)
    text = answer.get("text")
    if isinstance(text, str):
        return text
    if answer.get("error") == "too long":
        raise TooLargeError("the prompt is too long", field="messages")
    raise UsageError(
        "the model's chat template refuses these messages",
        hint="check the roles and their order: most templates want user and assistant in turn",
        field="messages",
    )


class _Renderer:
    """One child that renders.

    Every failure of it is a UsageError: it exceeded its bounds on this input.
    """

    def __init__(self, start_line: bytes) -> None:
        self._child = Child("mohawk.checkpoint.template_child")
        self._start_line: bytes | None = start_line
        self._takes_tools = False

    def is_alive(self) -> bool:
        return self._child.is_alive()

    def await_ready(self) -> bool:
        """Hand over the template, once: whether it asks for tools. Raises UsageError when it does not compile."""
        if self._start_line is not None:
            reply = _parse_reply(self.exchange(self._start_line, _START_SECONDS))
            if reply.get("ready") is not True:
                raise UsageError("the model's chat template does not compile")
            self._start_line = None
            self._takes_tools = reply.get("tools") is True
        return self._takes_tools

    def exchange(self, line: bytes, seconds: float) -> bytes:
        """One request, one reply line.

        Raises UsageError at the deadline or when the child dies; then it must be killed.
        """
        deadline = time.monotonic() + seconds
        try:
            self._child.write(line, deadline)
            return self._read(deadline)
        except (BrokenPipeError, EOFError, TimeoutError) as error:
            raise UsageError(
                "the model's chat template exceeds its time or memory on these messages",
                hint="send fewer or shorter messages",
                field="messages",
            ) from error

    def _read(self, deadline: float) -> bytes:
        reply = bytearray()
        while not reply.endswith(b"\n"):
            reply += self._child.read(_BLOCK, deadline)
            if len(reply) > REPLY_LIMIT + _BLOCK:
                raise EOFError
        return bytes(reply)

    def kill(self) -> None:
        self._child.kill()
