"""What the API needs of whoever computes: the controller implements it, tests have a small one of their own."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from mohawk.artifact.strict_json import JsonObject
from mohawk.generation.session import GenerationRequest, TextDelta
from mohawk.nouns.sampling import Grammar
from mohawk.nouns.tools import CallStyle


class Engine(Protocol):
    """One served model. All methods are called from one event loop."""

    @property
    def model_id(self) -> str: ...

    @property
    def created(self) -> int:
        """Seconds since 1970."""

    @property
    def context_length(self) -> int:
        """Most tokens of prompt and answer together."""

    @property
    def vocabulary_size(self) -> int:
        """Token ids are below it."""

    @property
    def end_of_sequence(self) -> frozenset[int]:
        """Token ids that end an answer."""

    async def encode_text(self, text: str) -> list[int]:
        """Token ids of a plain prompt. Raises UsageError."""

    @property
    def call_style(self) -> CallStyle | None:
        """How the model calls tools; None when its template knows none."""

    async def encode_chat(self, messages: list[JsonObject], tools: list[dict[str, object]]) -> list[int]:
        """Token ids of a conversation (`role` and `content` of each message, calls and their results), by the model's
        own template, which is told of the tools. Raises UsageError.
        """

    async def check_grammar(self, grammar: Grammar) -> None:
        """Raises UsageError when it cannot be followed, UnavailableError when that cannot be known now."""

    def token_bytes(self, token: int) -> bytes:
        """What a token adds to a text; nothing for an id that has no token."""

    def generate(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        """The answer in pieces; the last has a finish reason. Closing it early cancels within one step.

        Raises UsageError (can never fit), UnavailableError (too much to do, or a worker lost).
        """

    def end_session(self, session: str) -> None:
        """The session has ended: what its next turn would go on from is given back. Of an unknown one: nothing."""

    def health(self) -> None:
        """Raises the error that keeps the model from being served, if there is one."""
