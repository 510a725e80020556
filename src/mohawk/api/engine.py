"""What the API needs of whoever computes: the controller implements it, tests have a small one of their own."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from mohawk.generation.session import GenerationRequest, TextDelta


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

    async def encode_chat(self, messages: list[dict[str, str]]) -> list[int]:
        """Token ids of a conversation (`role` and `content` of each message), by the model's own template. Raises
        UsageError.
        """

    def generate(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        """The answer in pieces; the last has a finish reason. Closing it early cancels within one step.

        Raises UsageError (can never fit), UnavailableError (too much to do, or a worker lost).
        """

    def end_session(self, session: str) -> None:
        """The session has ended: what its next turn would go on from is given back. Of an unknown one: nothing."""

    def health(self) -> None:
        """Raises the error that keeps the model from being served, if there is one."""
