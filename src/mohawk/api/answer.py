"""Sends one request's answer, whole or in pieces; of `n` choices each in its own order, as they come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Scope, Send

from mohawk.api.choice import Choice, Piece, join
from mohawk.api.envelope import log_failure
from mohawk.api.openai import DONE, Shape, Usage, error_body, event
from mohawk.errors import MohawkError, UsageError
from mohawk.generation.session import TextDelta
from mohawk.generation.statistics import AnswerTimes

Deltas = AsyncGenerator[TextDelta, None]
Merged = AsyncGenerator[tuple[int, TextDelta], None]
"""Each piece with the index of its choice."""

_WAITING_PIECES = 16
"""Pieces of all choices together that wait for a slow client; beyond, the choices wait themselves."""


class Answer:
    """One answer on its way to a client. `choices`: each with what takes its times."""

    def __init__(
        self,
        shape: Shape,
        choices: Sequence[tuple[Choice, AnswerTimes]],
        prompt_tokens: int,
        scope: Scope,
        send: Send,
    ) -> None:
        self._shape = shape
        self._choices = [choice for choice, _ in choices]
        self._times = [times for _, times in choices]
        self._prompt_tokens = prompt_tokens
        self._scope = scope
        self._send = send
        self.is_our_failure = False
        """Whether it ended with an error that is not the client's."""

    async def whole(self, deltas: Merged) -> None:
        taken: list[list[Piece]] = [[] for _ in self._choices]
        async for index, delta in deltas:
            taken[index].append(self._take(index, delta))
        ended = [(join(pieces), choice.reason) for pieces, choice in zip(taken, self._choices, strict=True)]
        await JSONResponse(self._shape.whole(ended, self._usage()))(self._scope, receive_nothing, self._send)

    async def stream(self, deltas: Merged) -> None:
        """The status waits for the first piece: until then an error is an answer of its own."""
        index, first = await anext(deltas)
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        write = self._find_writer()
        try:
            await write(self._shape.first(len(self._choices)) + self._pieces(index, first))
            async for index, delta in deltas:
                await write(self._pieces(index, delta))
            ending = self._end() + DONE
        except MohawkError as error:
            ending = self._fail(error, error)
        except Exception as error:  # noqa: BLE001 - the outermost edge of a stream: only our own words may leave
            ending = self._fail(error, MohawkError("unexpected"))
        await self._send({"type": "http.response.body", "body": ending, "more_body": False})

    def _take(self, index: int, delta: TextDelta) -> Piece:
        self._times[index].progress(delta, time.monotonic())
        return self._choices[index].take(delta)

    def _pieces(self, index: int, delta: TextDelta) -> bytes:
        choice = self._choices[index]
        events = self._shape.piece(index, self._take(index, delta))
        return events + self._shape.last(index, choice.reason) if choice.is_finished else events

    def _end(self) -> bytes:
        """Raises MohawkError when a choice has not come to its end."""
        for choice in self._choices:
            _ = choice.reason
        return self._shape.usage(self._usage())

    def _usage(self) -> Usage:
        return Usage(self._prompt_tokens, sum(choice.completion_tokens for choice in self._choices))

    def _find_writer(self) -> Callable[[bytes], Awaitable[None]]:
        """What sends events: the connection itself where it can (`GuardedProtocol.write_chunk`). The way through all
        layers takes as long as encrypting them does, for every token.
        """
        direct: Callable[[bytes], Awaitable[None]] | None = self._scope["state"].get("write_chunk")
        is_chunked = self._scope["http_version"] == "1.1"
        return direct if direct is not None and is_chunked else self._send_events

    async def _send_events(self, events: bytes) -> None:
        if events:
            await self._send({"type": "http.response.body", "body": events, "more_body": True})

    def _fail(self, error: Exception, shown: MohawkError) -> bytes:
        log_failure(self._scope["state"]["request_id"], error)
        self.is_our_failure = not isinstance(shown, UsageError)
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
