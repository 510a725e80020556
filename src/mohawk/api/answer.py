"""Sends one request's answer, whole or in pieces; of `n` choices each in its own order, as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Scope, Send

from mohawk.api.choice import Choice, Piece, join
from mohawk.api.envelope import log_failure
from mohawk.api.openai import DONE, Body, Shape, Usage, error_body, event
from mohawk.errors import MohawkError
from mohawk.generation.session import TextDelta

Deltas = AsyncGenerator[TextDelta, None]
Merged = AsyncGenerator[tuple[int, TextDelta], None]
"""Each piece with the index of its choice."""

_WAITING_PIECES = 16
"""Pieces of all choices together that wait for a slow client; beyond, the choices wait themselves."""


class Answer:
    """One answer on its way to a client."""

    def __init__(self, shape: Shape, choices: Sequence[Choice], prompt_tokens: int, scope: Scope, send: Send) -> None:
        self._shape = shape
        self._choices = choices
        self._prompt_tokens = prompt_tokens
        self._scope = scope
        self._send = send

    async def whole(self, deltas: Merged) -> None:
        taken: list[list[Piece]] = [[] for _ in self._choices]
        async for index, delta in deltas:
            taken[index].append(self._choices[index].take(delta))
        ended = [(join(pieces), choice.reason) for pieces, choice in zip(taken, self._choices, strict=True)]
        await JSONResponse(self._shape.whole(ended, self._usage()))(self._scope, receive_nothing, self._send)

    async def stream(self, deltas: Merged) -> None:
        """The status waits for the first piece: until then an error is an answer of its own."""
        index, first = await anext(deltas)
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            await self._send_events([*self._shape.first(len(self._choices)), *self._pieces(index, first)])
            async for index, delta in deltas:
                await self._send_events(self._pieces(index, delta))
            await self._send_events(self._end())
            ending = DONE
        except MohawkError as error:
            ending = self._fail(error, error)
        except Exception as error:  # noqa: BLE001 - the outermost edge of a stream: only our own words may leave
            ending = self._fail(error, MohawkError("unexpected"))
        await self._send({"type": "http.response.body", "body": ending, "more_body": False})

    def _pieces(self, index: int, delta: TextDelta) -> list[Body]:
        choice = self._choices[index]
        pieces = self._shape.piece(index, choice.take(delta))
        return [*pieces, self._shape.last(index, choice.reason)] if choice.is_finished else pieces

    def _end(self) -> list[Body]:
        """Raises MohawkError when a choice has not come to its end."""
        for choice in self._choices:
            _ = choice.reason
        return self._shape.usage(self._usage())

    def _usage(self) -> Usage:
        return Usage(self._prompt_tokens, sum(choice.completion_tokens for choice in self._choices))

    async def _send_events(self, bodies: list[Body]) -> None:
        if bodies:
            data = b"".join(event(body) for body in bodies)
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    def _fail(self, error: Exception, shown: MohawkError) -> bytes:
        log_failure(self._scope["state"]["request_id"], error)
        return event(error_body(shown))


async def merge(answers: Sequence[Deltas]) -> Merged:
    """All answers' pieces as they come. The first failure ends all of them, and so does closing this.

    The others begin when the first has its first piece: the keys and values of their prompt are there then, and are
    copied, not computed again.
    """
    if len(answers) == 1:
        async with aclosing(answers[0]) as deltas:
            async for delta in deltas:
                yield 0, delta
        return
    arrived: asyncio.Queue[tuple[int, TextDelta | Exception | None]] = asyncio.Queue(_WAITING_PIECES)
    tasks = [asyncio.create_task(_forward(0, answers[0], arrived))]
    try:
        left = len(answers)
        while left:
            index, item = await arrived.get()
            if isinstance(item, Exception):
                raise item
            if len(tasks) == 1:
                others = enumerate(answers[1:], start=1)
                tasks += [asyncio.create_task(_forward(number, answer, arrived)) for number, answer in others]
            if item is None:
                left -= 1
            else:
                yield index, item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _forward(
    index: int, answer: Deltas, arrived: asyncio.Queue[tuple[int, TextDelta | Exception | None]]
) -> None:
    ending: Exception | None = None
    try:
        async with aclosing(answer) as deltas:
            async for delta in deltas:
                await arrived.put((index, delta))
    except Exception as error:  # noqa: BLE001 - raised again by whoever reads
        ending = error
    await arrived.put((index, ending))


async def receive_nothing() -> dict[str, Any]:
    return {"type": "http.disconnect"}
