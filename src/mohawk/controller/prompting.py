"""From what a client wrote to token ids, and back: the model's tokenizer and chat template, without transformers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import ParamSpec, TypeVar

from mohawk.artifact.strict_json import JsonObject
from mohawk.checkpoint.settings import TextSettings
from mohawk.checkpoint.template import ChatTemplate, read_special_tokens, read_template
from mohawk.checkpoint.tokenizer import Tokenizer
from mohawk.controller.grammars import GrammarTrial
from mohawk.errors import UsageError
from mohawk.nouns.tools import CallStyle

THREADS = 8
"""In which prompts are read: of their own, or a crowd of long ones would keep a repair from the model's key, which is
opened in a thread too.
"""
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Prompting:
    """A model's way with text. Its methods block, for a thread; threads may share it."""

    def __init__(self, model_id: str, settings: TextSettings, sides: Mapping[str, bytes]) -> None:
        """`sides`: the verified side files by name. Raises ArtifactError, UnsupportedModelError, HostError."""
        self.model_id = model_id
        self.created = int(time.time())
        self.context_length = settings.context_length
        self.vocabulary_size = settings.vocabulary_size
        self._tokenizer = Tokenizer(sides, settings.vocabulary_size, settings.context_length)
        self.grammars = GrammarTrial(sides["tokenizer.json"], settings.vocabulary_size)
        template = read_template(sides)
        self._template = None if template is None else ChatTemplate(template, read_special_tokens(sides))
        ends = {*settings.end_of_sequence, *([self._tokenizer.end] if self._tokenizer.end is not None else [])}
        self.end_of_sequence = frozenset(ends)
        self._threads = ThreadPoolExecutor(THREADS, "prompting")

    async def in_thread(
        self,
        method: Callable[Parameters, Result],
        *arguments: Parameters.args,
        **options: Parameters.kwargs,
    ) -> Result:
        """What `method`, one of these, gives."""
        work = partial(method, *arguments, **options)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def encode_text(self, text: str) -> list[int]:
        """Raises UsageError."""
        return self._tokenizer.encode(text, add_special=True, field="prompt")

    @property
    def call_style(self) -> CallStyle | None:
        """How the model calls tools; None when its template knows none."""
        return None if self._template is None else self._template.call_style

    def encode_chat(self, messages: list[JsonObject], tools: list[dict[str, object]]) -> list[int]:
        """Raises UsageError when the model has no chat template, or its template refuses the messages."""
        if self._template is None:
            raise UsageError("this model has no chat template", hint="use /v1/completions", field="messages")
        return self._tokenizer.encode(self._template.render(messages, tools, now=datetime.now().astimezone()))

    def decode(self, tokens: list[int]) -> str:
        return self._tokenizer.decode(tokens)

    def plain_text(self, token: int) -> str | None:
        """What `token` adds to any text; None where that depends on the text."""
        return self._tokenizer.plain_text(token)

    def token_bytes(self, token: int) -> bytes:
        """What `token` adds to a text."""
        return self._tokenizer.token_bytes(token)

    def close(self) -> None:
        """End threads and child processes."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.grammars.close()
        if self._template is not None:
            self._template.close()
