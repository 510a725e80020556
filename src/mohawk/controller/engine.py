"""The serving loop: requests become sequences, sequences share steps, tokens become text.

Steps are sent whenever one has landed, a request came or left: no task waits between them. Each request is an async
iterator that ends exactly once: complete, or with a typed error; leaving it early cancels the sequence, whose keys and
values are given back with the next step.

A chain that breaks is somebody else's to repair (`controller.failover`): meanwhile requests wait, and afterwards every
sequence goes on from its tokens.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from mohawk.artifact.strict_json import JsonObject
from mohawk.contract.steps import SampledToken, StepResult
from mohawk.controller.mailbox import Mailbox
from mohawk.controller.pipeline import Pipeline, StepOverdueError
from mohawk.controller.prompting import Prompting
from mohawk.controller.status import Load
from mohawk.errors import ChainBrokenError, MessageError, MohawkError, RemoteError, UnavailableError, UsageError
from mohawk.generation.batcher import Batcher, Progress
from mohawk.generation.orders import StepOrder
from mohawk.generation.pace import LEAST_HASTE_SECONDS
from mohawk.generation.queue_time import QueueTime
from mohawk.generation.session import FinishReason, GenerationRequest, Sequence, TextDelta
from mohawk.generation.stream import TextStream
from mohawk.nouns.sampling import Grammar
from mohawk.nouns.tools import CallStyle

log = logging.getLogger(__name__)

LEAST_CHECK_SECONDS = 0.1
LONGEST_QUEUE_SECONDS = 15.0
"""Whoever would wait longer is told at once, before anything is computed for it: what is computed for clients who left
is lost to those who stay. A few seconds of queue keep every place busy. With 30, and three times more asked than could
be answered, every second answer came too late for a patience of 45.
"""


@dataclass(slots=True)
class _Request:
    """One request under way: its text so far, and what its reader has not taken yet."""

    sequence: Sequence
    text: TextStream
    deltas: Mailbox[TextDelta | MohawkError]
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
        self._queue = QueueTime()
        self._numbers = itertools.count(1)
        self._pump_soon: asyncio.Handle | None = None
        self._clock_task: asyncio.Task[None] | None = None
        self._between: list[tuple[Callable[[], Awaitable[None]], asyncio.Future[None]]] = []
        self._between_task: asyncio.Task[None] | None = None
        self._is_held = True
        self._ended: MohawkError | None = None
        """Serving is over for good."""
        self._down: MohawkError | None = None
        """The chain is broken and cannot be repaired for now."""
        self.repair: Callable[[str | None, MohawkError], None] = lambda _worker, error: self.end(error)
        """Told that the chain broke, by whose loss if that is known."""
        self.can_replace: Callable[[], bool] = lambda: False
        """Whether somebody stands by who could take a stage."""
        pipeline.listener = self

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
        return await self._prompting.in_thread(self._prompting.encode_text, text)

    @property
    def call_style(self) -> CallStyle | None:
        return self._prompting.call_style

    async def encode_chat(self, messages: list[JsonObject], tools: list[dict[str, object]]) -> list[int]:
        """A conversation's token ids, by the model's own template. Raises UsageError, TooLargeError, HostError."""
        return await self._prompting.in_thread(self._prompting.encode_chat, messages, tools)

    async def check_grammar(self, grammar: Grammar) -> None:
        """Raises UsageError: it does not compile within bounds; UnavailableError."""
        await self._prompting.grammars.check(grammar)

    def token_bytes(self, token: int) -> bytes:
        """What `token` adds to a text; nothing for an id that has no token."""
        return self._prompting.token_bytes(token)

    def health(self) -> None:
        """Raises the error that keeps the model from being served, if there is one."""
        error = self._ended or self._down
        if error is not None:
            raise error

    def load(self) -> Load:
        batcher = self._batcher
        return Load(
            running=batcher.running,
            waiting=batcher.waiting,
            kv_tokens_used=batcher.kv_tokens_used,
            kv_tokens_total=batcher.kv_tokens_total,
            kv_tokens_retained=batcher.kv_tokens_retained,
        )

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
            self._poke()

    def end_session(self, session: str) -> None:
        """No further turn of it will come: what was kept for it is given back."""
        self._batcher.end_session(session)
        self._poke()

    async def between_steps(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` while no step is under way. Raises what it raises, UnavailableError when serving has ended,
        ChainBrokenError while there is no chain: whoever repairs it may wait for the caller.
        """
        self.health()
        if self._is_held:
            raise _not_done()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._between.append((work, done))
        self._poke()
        await done

    def start(self) -> None:
        """The chain is whole: serve."""
        self._clock_task = asyncio.get_running_loop().create_task(self._watch_deadlines())
        self._is_held = False
        self._poke()

    async def stop(self) -> None:
        """End every request with an error."""
        self.end(UnavailableError("the server is shutting down"))
        tasks = [task for task in (self._clock_task, self._between_task) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._prompting.close()

    # ---- for whoever repairs the chain ------------------------------------------------------------------------------

    def hold(self) -> None:
        """No step leaves until `resume`, and none that is under way counts. Requests wait; what was to be done between
        two steps is not.
        """
        self._is_held = True
        self._pipeline.forget()
        begun = 0 if self._between_task is None else 1
        for _, done in self._between[begun:]:
            _settle(done, _not_done())
        del self._between[begun:]

    def resume(self) -> None:
        """The chain is whole again, and its stages hold nothing: every sequence goes on from its tokens."""
        self._batcher.restart()
        self._is_held, self._down = False, None
        self._poke()

    def give_up(self, error: MohawkError) -> None:
        """The chain cannot be repaired for now: every request hears why, and so does every later one until `resume`."""
        self._down = error
        self._tell_all(error)

    def end(self, error: MohawkError) -> None:
        """Nothing can be served any more."""
        self._ended = self._ended or error
        self.hold()
        self._tell_all(self._ended)

    # ---- the pipeline's side ----------------------------------------------------------------------------------------

    def on_landed(self, order: StepOrder, result: StepResult, seconds: float) -> None:
        try:
            landed = self._batcher.postprocess(order, self._check_tokens(result), seconds)
        except RemoteError as error:
            self.on_missed(order, UnavailableError(f"the last stage broke the protocol: {error.message}"))
            return
        for sampled in result.tokens:
            if sampled.sequence in self._requests:
                self._requests[sampled.sequence].sampled = sampled
        for progress in landed:
            self._deliver(progress, len(result.tokens))
        self._pump()

    def on_missed(self, order: StepOrder, error: MohawkError) -> None:
        """What a lost step opened is closed in the next one. A chain that fails even a step that only closes is broken:
        trying for ever would starve the event loop.
        """
        for progress in self._batcher.fail(order, error):
            self._deliver(progress, 0)
        if order.segments:
            self._poke()
        else:
            self.on_broken(None, error)

    def on_broken(self, worker: str | None, error: MohawkError) -> None:
        if isinstance(error, StepOverdueError):
            self._batcher.pace.doubt()
        self.hold()
        self.repair(worker, error)

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _admit(self, request: GenerationRequest) -> _Request:
        if len(self._requests) >= self._maximum_requests:
            raise UnavailableError("too many requests at once", hint="try again in a few seconds")
        seconds = 0.0 if request.is_sibling else self._queue.estimate(self._batcher.held_up, time.monotonic())
        if seconds > LONGEST_QUEUE_SECONDS:
            raise UnavailableError("too much is waiting already", hint="try again in a few seconds")
        sequence = Sequence(next(self._numbers), request)
        text = TextStream(
            self._prompting.decode,
            context=request.prompt,
            stops=request.stop,
            end_of_sequence=request.end_of_sequence,
            plain_text=self._prompting.plain_text,
        )
        self._batcher.add(sequence)
        entry = self._requests[sequence.id] = _Request(sequence, text, Mailbox())
        self._poke()
        return entry

    def _poke(self) -> None:
        """Pump when all that happens in this turn of the event loop has happened: who comes together shares a step."""
        if self._pump_soon is None:
            self._pump_soon = asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        """Send steps until enough are under way. Its outermost edge: nothing may go wrong here without every request
        hearing of it.
        """
        if self._pump_soon is not None:
            self._pump_soon.cancel()
            self._pump_soon = None
        try:
            self._send_steps()
        except Exception as error:
            log.exception("serving ended")
            self.end(UnavailableError(f"internal error ({type(error).__name__})", hint="the server's log says more"))

    def _send_steps(self) -> None:
        while not self._is_held and not self._is_pausing():
            order = self._batcher.schedule()
            self._queue.observe(self._batcher.admitted, self._batcher.waiting, time.monotonic())
            if order is None:
                return
            try:
                self._pipeline.send(order, *self._patience(order))
            except MohawkError as error:
                self.on_broken(None, error)

    def _patience(self, order: StepOrder) -> tuple[float, float]:
        """Seconds until this step is late, and until it is suspect. Where a grammar is followed it is not before it is
        late: the last stage may wait for the process that follows it.
        """
        pace, tokens = self._batcher.pace, len(order.token_ids)
        patience = pace.patience(tokens)
        requests = (self._requests.get(segment.sequence) for segment in order.segments)
        if any(one is not None and one.sequence.request.sampling.grammar is not None for one in requests):
            return patience, patience
        return patience, pace.haste(tokens, self._pipeline.stages)

    def _is_pausing(self) -> bool:
        """Whether something is to be done between two steps; begun when the last one under way has landed."""
        if self._between and self._between_task is None and not self._batcher.in_flight:
            self._between_task = asyncio.get_running_loop().create_task(self._work_between())
        return bool(self._between)

    async def _work_between(self) -> None:
        """It fails alone: serving goes on as well as it can."""
        while self._between:
            work, done = self._between[0]
            try:
                await work()
            except MohawkError as error:
                _settle(done, error)
            except Exception as error:  # the outermost edge of this work: its waiter must hear of it
                log.exception("what was to be done between two steps failed")
                _settle(done, UnavailableError(f"internal error ({type(error).__name__})"))
            else:
                _settle(done, None)
            del self._between[0]
        self._between_task = None
        self._poke()

    async def _watch_deadlines(self) -> None:
        """Not before the oldest step can be suspect: what is sent meanwhile is not suspect sooner than in haste."""
        while True:
            seconds = min(LEAST_HASTE_SECONDS, self._pipeline.seconds_to_suspicion())
            await asyncio.sleep(max(LEAST_CHECK_SECONDS, seconds))
            self._pipeline.check_deadlines(in_haste=self.can_replace())

    def _check_tokens(self, result: StepResult) -> Mapping[int, int]:
        """Sequence -> token. Raises MessageError: an id outside the vocabulary has no text, and no row to continue
        from.
        """
        tokens = {sampled.sequence: sampled.token for sampled in result.tokens}
        if len(tokens) != len(result.tokens) or not all(token < self.vocabulary_size for token in tokens.values()):
            raise MessageError("sampled tokens outside the vocabulary, or twice for one sequence")
        return tokens

    def _deliver(self, progress: Progress, batch: int) -> None:
        entry = self._requests.get(progress.sequence)
        if entry is None:  # its reader left while the step was under way
            return
        if progress.error is not None:
            entry.deltas.put(progress.error)
        elif entry.sampled is not None and entry.sampled.failed:
            self._batcher.cancel(progress.sequence)
            entry.deltas.put(UsageError("the answer's format is too complex to follow", field="response_format"))
        elif progress.token is not None:
            entry.deltas.put(self._next_delta(entry, progress.token, progress.finish, batch))

    def _next_delta(self, entry: _Request, token: int, finish: FinishReason | None, batch: int) -> TextDelta:
        text = entry.text.push(token)
        if entry.text.is_stopped and finish is None:  # a stop string: the batcher cannot know
            finish = FinishReason.STOP
            self._batcher.finish(entry.sequence.id)
        if finish is not None:
            finish = FinishReason.STOP if entry.text.is_stopped else finish
            text += entry.text.finish()
        logprobs = entry.sampled.logprobs if entry.sampled is not None else None
        sequence = entry.sequence
        return TextDelta(text, sequence.generated_count, finish, token, logprobs, batch, sequence.cached)

    def _tell_all(self, error: MohawkError) -> None:
        for entry in self._requests.values():
            entry.deltas.put(error)


def _not_done() -> ChainBrokenError:
    return ChainBrokenError("the chain broke before this could be done", hint="try again")


def _settle(done: asyncio.Future[None], error: MohawkError | None) -> None:
    """Its waiter may have been cancelled."""
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
