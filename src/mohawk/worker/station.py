"""What this worker holds: nothing, a stage that serves, and beside it perhaps the next one; and its two threads.

The event loop never computes, so that heartbeats are answered while a pass runs. One thread computes, in order. Another
opens, measures and overwrites, which takes long; what of that computes, or turns a process-wide switch, is a short turn
in the compute thread, so that a stage serves while the next is loaded. A stage is never released under a running pass.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from mohawk.checkpoint.grammar import GrammarProcess
from mohawk.contract.admission import admit_part
from mohawk.contract.messages import StageReady, WorkerState
from mohawk.contract.probing import ProbePoint, ProbeStage, StageProbed
from mohawk.contract.steps import ElementType, StagePart
from mohawk.errors import MessageError
from mohawk.host.memory import SecretBytes, available_bytes
from mohawk.host.slice_store import SliceStore
from mohawk.model.probe import time_stage
from mohawk.nouns.model import DataType
from mohawk.worker.constraints import HEADROOM, Constraints
from mohawk.worker.loader import Assignment, LoadedStage, load_stage
from mohawk.worker.runner import Outcome, Runner

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Post:
    """A stage with all that belongs to it."""

    loaded: LoadedStage
    runner: Runner
    constraints: Constraints | None
    token_budget: int

    @property
    def run_id(self) -> str:
        return self.loaded.ready.run_id

    def release(self) -> None:
        if self.constraints is not None:
            self.constraints.stop()
        self.loaded.release()


class Station:
    """One worker's stage, and the next one beside it. Called from the event loop only."""

    def __init__(self, store: SliceStore) -> None:
        self._store = store
        self._compute = ThreadPoolExecutor(1, "compute")
        self._loading = ThreadPoolExecutor(1, "loading")
        self._opened: list[_Post] = []
        """All that is not overwritten yet; the loading thread's own."""
        self._post: _Post | None = None
        self._next: _Post | None = None
        """Held ready beside the one that serves, until a route names it."""
        self.state = WorkerState.EMPTY

    @property
    def bytes_out(self) -> int:
        """Most tensor bytes of one step that this stage sends on; 0 while there is none."""
        return 0 if self._post is None else self._post.token_budget * self._row_bytes()

    @property
    def bytes_in(self) -> int:
        """Most tensor bytes of one step that this stage takes; none when it takes token ids."""
        return 0 if self._post is None or self._post.runner.stage.is_first else self.bytes_out

    async def probe(self, order: ProbeStage) -> StageProbed:
        """What another stage could have here, and how fast it would be. Raises ArtifactError, UnsupportedModelError."""
        before = self.state
        if self._post is None:
            self.state = WorkerState.LOADING
        try:
            return await self._load(partial(self._measure, order))
        finally:
            self.state = before

    async def load(self, assignment: Assignment, data_keys: SecretBytes) -> StageReady:
        """Hold this assignment's stage, in place of what is held or, where the order says so, beside it. Raises
        MohawkError; the worker then holds nothing, or what it held before.
        """
        if assignment.order.beside and self._post is not None:
            await self._put_away_next()
            self._next = await self._load(partial(self._open, assignment, data_keys))
            return self._next.loaded.ready
        await self.drop()
        self.state = WorkerState.LOADING
        try:
            self._post = await self._load(partial(self._open, assignment, data_keys))
        except BaseException:
            self.state = WorkerState.FAILED
            raise
        self.state = WorkerState.READY
        return self._post.loaded.ready

    def take(self, run_id: str) -> None:
        """From now on this stage computes. Another that is held is overwritten, after whatever it still computes.
        Raises MessageError: a stage is held, and not this one.
        """
        held = [post for post in (self._post, self._next) if post is not None]
        chosen = next((post for post in held if post.run_id == run_id), None)
        if chosen is None and held:
            raise MessageError("a route for a stage that this worker does not hold")
        self._post, self._next = chosen, None
        for post in held:
            if post is not chosen:
                self._load(partial(self._release, post)).add_done_callback(_surface)

    async def drop(self) -> None:
        """Overwrite and release all weights, after whatever is still computing or loading: nobody may be waiting for
        a load any more, but what it opened is overwritten all the same."""
        self._post = self._next = None
        await self._load(self._release_all)
        self.state = WorkerState.EMPTY

    def expect(self, body_length: int) -> tuple[int, int, int]:
        """(rows, width, element) of a step's tensor of `body_length` bytes; zeros at the first stage, which has none.

        Raises MessageError: not a whole number of rows.
        """
        if self._post is None:
            raise MessageError("a step for a worker that holds no stage")
        stage = self._post.runner.stage
        if stage.is_first:
            return 0, 0, 0
        rows, rest = divmod(body_length, self._row_bytes())
        if rest:
            raise MessageError("a step whose tensor is not a whole number of rows")
        return rows, stage.hidden_size, ElementType[stage.dtype.value]

    def admit(self, data: bytes, body_length: int) -> StagePart:
        """What a ticket held, against the tensor beside it, before that is allocated. Raises MessageError."""
        if self._post is None:
            raise MessageError("a step for a worker that holds no stage")
        return admit_part(
            data,
            body_length,
            row_bytes=self._row_bytes(),
            is_first=self._post.runner.stage.is_first,
            token_budget=self._post.token_budget,
        )

    def run(self, part: StagePart, body: bytearray) -> asyncio.Future[Outcome]:
        """Compute one step's part; steps run in the order of these calls.

        Raises MessageError when the stage was dropped since the step's admission.
        """
        if self._post is None:
            raise MessageError("a step for a worker that holds no stage")
        return asyncio.get_running_loop().run_in_executor(self._compute, self._post.runner.run, part, body)

    async def forget(self) -> None:
        """No sequence is open any more, after whatever is still computing."""
        if self._post is not None:
            await asyncio.get_running_loop().run_in_executor(self._compute, self._post.runner.forget)

    async def close(self) -> None:
        await self.drop()
        self._loading.shutdown()
        self._compute.shutdown()

    async def _put_away_next(self) -> None:
        earlier, self._next = self._next, None
        if earlier is not None:
            await self._load(partial(self._release, earlier))

    # ---- in the loading thread --------------------------------------------------------------------------------------

    def _load(self, work: Callable[[], Result]) -> asyncio.Future[Result]:
        return asyncio.get_running_loop().run_in_executor(self._loading, work)

    def _in_turn(self, work: Callable[[], Result]) -> Result:
        """In the compute thread, after the steps that came before: `mohawk.model.turns.Turns`."""
        return self._compute.submit(work).result()

    def _open(self, assignment: Assignment, data_keys: SecretBytes) -> _Post:
        loaded = load_stage(assignment, data_keys, self._store, self._in_turn)
        constraints = None
        if assignment.tokenizer is not None:
            start = partial(GrammarProcess, assignment.tokenizer, loaded.stage.vocabulary_size, HEADROOM)
            constraints = Constraints(start)
        post = _Post(loaded, Runner(loaded.stage, constraints), constraints, assignment.order.token_budget)
        self._opened.append(post)
        return post

    def _release(self, post: _Post) -> None:
        self._in_turn(_nothing)  # whatever was to compute on it has
        self._opened.remove(post)
        post.release()

    def _release_all(self) -> None:
        for post in list(self._opened):
            self._release(post)

    def _measure(self, order: ProbeStage) -> StageProbed:
        """Half of the memory at most is taken for it: others may want some meanwhile."""
        memory = available_bytes()
        if not order.rows:
            return StageProbed(memory)
        compute = DataType(order.compute.name)
        times = time_stage(order.config, compute, order.rows, memory // 2, time.perf_counter, self._in_turn)
        return StageProbed(memory, _points(times.layer), _points(times.embedding), _points(times.head))

    def _row_bytes(self) -> int:
        assert self._post is not None  # both callers looked
        return self._post.runner.stage.hidden_size * self._post.runner.stage.dtype.size


def _nothing() -> None:
    """A turn in which nothing is done."""


def _surface(done: asyncio.Future[None]) -> None:
    """Nobody waits for it: what it raises reaches the event loop's own handler."""
    if not done.cancelled():
        done.result()


def _points(times: Mapping[int, float]) -> tuple[ProbePoint, ...]:
    return tuple(ProbePoint(rows, int(seconds * 1e9)) for rows, seconds in times.items())
