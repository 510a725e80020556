"""The serving loop: requests become sequences, sequences share steps, tokens become text.

One task drives the batcher. Each request is an async iterator that ends exactly once: complete, or with a typed error;
leaving it early cancels the sequence, whose keys and values are given back with the next step.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from mohawk.artifact.strict_json import JsonObject
from mohawk.contract.steps import SampledToken, StepResult
from mohawk.controller.pipeline import Pipeline
from mohawk.controller.prompting import Prompting
from mohawk.controller.status import Load
from mohawk.errors import MessageError, MohawkError, RemoteError, UnavailableError, UsageError
from mohawk.generation.batcher import Batcher, Progress, StepOrder
from mohawk.generation.session import FinishReason, GenerationRequest, Sequence, TextDelta
from mohawk.generation.stream import TextStream
from mohawk.nouns.sampling import Grammar
from mohawk.nouns.tools import CallStyle

log = logging.getLogger(__name__)

STEP_SECONDS = 30.0
"""A step of a full token budget on a slow machine; a dead worker is noticed by heartbeats long before."""


@dataclass(slots=True)
class _Request:
    """One request under way: its text so far, and what its reader has not taken yet."""

    sequence: Sequence
    text: TextStream
    deltas: asyncio.Queue[TextDelta | MohawkError]
    sampled: SampledToken | None = None
    """The last token as its stage told of it."""


class Engine:
    """Serves one model, at most `maximum_requests` held at once. Used from one event loop. `api.engine.Engine` is the
    part that the API sees.
    """

    def __init__(self, prompting: Prompting, batcher: Batcher, pipeline: Pipeline, maximum_requests: int) -> None:
        self._maximum_requests = maximum_requests
        self._prompting = prompting
        self._batcher = batcher
        self._pipeline = pipeline
        self._requests: dict[int, _Request] = {}
        self._numbers = itertools.count(1)
        self._wake = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None
        self._ended: MohawkError | None = None
        self._between: list[tuple[Callable[[], Awaitable[None]], asyncio.Future[None]]] = []

    @property
    def model_id(self) -> str:
        return self._prompting.model_id

    @property
    def created(self) -> int:
        """Seconds since 1970 at which this model began to be served."""
        return self._prompting.created

    @property
    def context_length(self) -> int:
        """Most tokens of prompt and answer together: the model's own limit, or what the KV pool holds."""
        return min(self._prompting.context_length, self._batcher.kv_tokens_total)

    @property
    def vocabulary_size(self) -> int:
        return self._prompting.vocabulary_size

    @property
    def end_of_sequence(self) -> frozenset[int]:
        return self._prompting.end_of_sequence

    async def encode_text(self, text: str) -> list[int]:
        """A plain prompt's token ids. Raises UsageError."""
        return await asyncio.to_thread(self._prompting.encode_text, text)

    @property
    def call_style(self) -> CallStyle | None:
        return self._prompting.call_style

    async def encode_chat(self, messages: list[JsonObject], tools: list[dict[str, object]]) -> list[int]:
        """A conversation's token ids, by the model's own template. Raises UsageError, TooLargeError, HostError."""
        return await asyncio.to_thread(self._prompting.encode_chat, messages, tools)

    async def check_grammar(self, grammar: Grammar) -> None:
        """Raises UsageError: it does not compile within bounds; UnavailableError."""
        await self._prompting.grammars.check(grammar)

    def token_bytes(self, token: int) -> bytes:
        """What `token` adds to a text; nothing for an id that has no token."""
        return self._prompting.token_bytes(token)

    def health(self) -> None:
        """Raises the error that ended serving, if one did."""
        ended = self._ended or self._pipeline.lost  # a worker may be lost while nobody asks
        if ended is not None:
            raise ended

    def load(self) -> Load:
        batcher = self._batcher
        return Load(batcher.running, batcher.waiting, batcher.kv_tokens_used, batcher.kv_tokens_total)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        """The answer in pieces; the last one has a finish reason. Closing the iterator cancels.

        Raises UsageError (can never fit), UnavailableError (too many requests, queue full, a worker lost).
        """
        self.health()
        entry = self._admit(request)
        number = entry.sequence.id
        try:
            while True:
                delta = await entry.deltas.get()
                if isinstance(delta, MohawkError):
                    raise delta
                yield delta
                if delta.finish_reason is not None:
                    return
        finally:
            del self._requests[number]
            self._batcher.cancel(number)
            self._wake.set()

    def end_session(self, session: str) -> None:
        """Nothing is kept between turns yet."""

    async def between_steps(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` while no step is under way. Raises what it raises, UnavailableError when serving has ended."""
        self.health()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._between.append((work, done))
        self._wake.set()
        await done

    def start(self) -> None:
        self._loop_task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End every request with an error."""
        self._end(UnavailableError("the server is shutting down"))
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.gather(self._loop_task, return_exceptions=True)
        self._prompting.close()

    def _admit(self, request: GenerationRequest) -> _Request:
        if len(self._requests) >= self._maximum_requests:
            raise UnavailableError("too many requests at once", hint="try again in a few seconds")
        sequence = Sequence(next(self._numbers), request)
        text = TextStream(
            self._prompting.decode,
            context=request.prompt,
            stops=request.stop,
            end_of_sequence=request.end_of_sequence,
        )
        self._batcher.add(sequence)
        entry = self._requests[sequence.id] = _Request(sequence, text, asyncio.Queue())
        self._wake.set()
        return entry

    async def _run(self) -> None:
        """The loop's outermost edge: nothing may end it without every request hearing of it."""
        try:
            await self._serve()
        except Exception as error:
            log.exception("serving ended")
            self._end(UnavailableError(f"internal error ({type(error).__name__})", hint="the server's log says more"))

    async def _serve(self) -> None:
        """Schedule, run, postprocess. A failed step ends its sequences; a lost worker ends all, and this loop."""
        while self._ended is None:
            await self._pause()
            order = self._batcher.schedule()
            if order is None:
                await self._wake.wait()
                self._wake.clear()
                continue
            for progress in await self._step(order):
                self._deliver(progress)

    async def _pause(self) -> None:
        """What was to be done between two steps. It fails alone: serving goes on as well as it can."""
        while self._between:
            work, done = self._between.pop(0)
            try:
                await work()
            except MohawkError as error:
                _settle(done, error)
            else:
                _settle(done, None)

    async def _step(self, order: StepOrder) -> list[Progress]:
        try:
            result = await self._pipeline.run(order, STEP_SECONDS)
            progress = self._batcher.postprocess(order, self._check_tokens(result))
        except RemoteError as error:
            return self._fail(order, UnavailableError(f"the last stage broke the protocol: {error.message}"))
        except MohawkError as error:
            return self._fail(order, error)
        for sampled in result.tokens:
            if sampled.sequence in self._requests:
                self._requests[sampled.sequence].sampled = sampled
        return progress

    def _check_tokens(self, result: StepResult) -> Mapping[int, int]:
        """Sequence -> token. Raises MessageError: an id outside the vocabulary has no text, and no row to continue
        from.
        """
        tokens = {sampled.sequence: sampled.token for sampled in result.tokens}
        if len(tokens) != len(result.tokens) or not all(token < self.vocabulary_size for token in tokens.values()):
            raise MessageError("sampled tokens outside the vocabulary, or twice for one sequence")
        return tokens

    def _fail(self, order: StepOrder, error: MohawkError) -> list[Progress]:
        """What a lost step opened is closed in the next one. A chain that fails even a step that only closes is beyond
        help: trying for ever would starve the event loop."""
        if self._pipeline.lost is not None or not order.segments:
            self._end(self._pipeline.lost or error)
        return self._batcher.fail(order, error)

    def _deliver(self, progress: Progress) -> None:
        entry = self._requests.get(progress.sequence)
        if entry is None:  # its reader left while the step was under way
            return
        if progress.error is not None:
            entry.deltas.put_nowait(progress.error)
        elif entry.sampled is not None and entry.sampled.failed:
            self._batcher.cancel(progress.sequence)
            entry.deltas.put_nowait(UsageError("the answer's format is too complex to follow", field="response_format"))
        elif progress.token is not None:
            entry.deltas.put_nowait(self._next_delta(entry, progress.token, progress.finish))

    def _next_delta(self, entry: _Request, token: int, finish: FinishReason | None) -> TextDelta:
        text = entry.text.push(token)
        if entry.text.is_stopped and finish is None:  # a stop string: the batcher cannot know
            finish = FinishReason.STOP
            self._batcher.cancel(entry.sequence.id)
        if finish is not None:
            finish = FinishReason.STOP if entry.text.is_stopped else finish
            text += entry.text.finish()
        logprobs = entry.sampled.logprobs if entry.sampled is not None else None
        return TextDelta(text, len(entry.sequence.generated), finish, token, logprobs)

    def _end(self, error: MohawkError) -> None:
        """Nothing can be served any more: every request hears why, and so does every later one."""
        self._ended = self._ended or error
        for _, done in self._between:
            _settle(done, self._ended)
        for entry in self._requests.values():
            entry.deltas.put_nowait(error)


def _settle(done: asyncio.Future[None], error: MohawkError | None) -> None:
    """Its waiter may have been cancelled."""
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
