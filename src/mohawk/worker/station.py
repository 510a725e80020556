"""What this worker holds: nothing, a stage being loaded, or a stage that serves; and the one thread that computes.

The event loop never computes, so that heartbeats are answered while a pass runs. Everything that touches tensors,
loading and dropping included, goes through the one compute thread in order: a stage is never released under a running
pass.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from mohawk.checkpoint.grammar import GrammarProcess
from mohawk.contract.admission import admit_part
from mohawk.contract.messages import StageReady, WorkerState
from mohawk.contract.probing import ProbePoint, ProbeStage, StageProbed
from mohawk.contract.steps import ElementType, StagePart
from mohawk.errors import MessageError, UnavailableError
from mohawk.host.memory import SecretBytes, available_bytes
from mohawk.host.slice_store import SliceStore
from mohawk.model.probe import time_stage
from mohawk.nouns.model import DataType
from mohawk.worker.constraints import HEADROOM, Constraints
from mohawk.worker.loader import Assignment, LoadedStage, load_stage
from mohawk.worker.runner import Outcome, Runner


class Station:
    """One worker's stage. Called from the event loop only."""

    def __init__(self, store: SliceStore) -> None:
        self._store = store
        self._compute = ThreadPoolExecutor(1, "compute")
        self._loaded: LoadedStage | None = None
        self._runner: Runner | None = None
        self._constraints: Constraints | None = None
        self._token_budget = 0
        self.state = WorkerState.EMPTY

    @property
    def bytes_out(self) -> int:
        """Most tensor bytes of one step that this stage sends on; 0 while there is none."""
        return 0 if self._runner is None else self._token_budget * self._row_bytes()

    @property
    def bytes_in(self) -> int:
        """Most tensor bytes of one step that this stage takes; none when it takes token ids."""
        return 0 if self._runner is None or self._runner.stage.is_first else self.bytes_out

    async def probe(self, order: ProbeStage) -> StageProbed:
        """What a stage could have here, and how fast it would be. Raises UnavailableError while there is one,
        ArtifactError, UnsupportedModelError.
        """
        if self.state not in (WorkerState.EMPTY, WorkerState.FAILED):
            raise UnavailableError("this worker has a stage: it cannot be measured", hint="stop its controller first")
        before, self.state = self.state, WorkerState.LOADING
        try:
            return await asyncio.get_running_loop().run_in_executor(self._compute, _measure, order)
        finally:
            self.state = before

    async def load(self, assignment: Assignment, data_keys: SecretBytes) -> StageReady:
        """Replace what is held by this assignment's stage. Raises MohawkError; the worker then holds nothing."""
        await self.drop()
        self.state = WorkerState.LOADING
        try:
            loaded = await asyncio.get_running_loop().run_in_executor(self._compute, self._hold, assignment, data_keys)
        except BaseException:
            self.state = WorkerState.FAILED
            raise
        self._runner = Runner(loaded.stage, self._constraints)
        self._token_budget = assignment.order.token_budget
        self.state = WorkerState.READY
        return loaded.ready

    async def drop(self) -> None:
        """Overwrite and release the weights, after whatever is still computing or loading: nobody may be waiting for
        a load any more, but what it opened is overwritten all the same."""
        self._runner = None
        await asyncio.get_running_loop().run_in_executor(self._compute, self._release)
        self.state = WorkerState.EMPTY

    def expect(self, body_length: int) -> tuple[int, int, int]:
        """(rows, width, element) of a step's tensor of `body_length` bytes; zeros at the first stage, which has none.

        Raises MessageError: not a whole number of rows.
        """
        if self._runner is None:
            raise MessageError("a step for a worker that holds no stage")
        stage = self._runner.stage
        if stage.is_first:
            return 0, 0, 0
        rows, rest = divmod(body_length, self._row_bytes())
        if rest:
            raise MessageError("a step whose tensor is not a whole number of rows")
        return rows, stage.hidden_size, ElementType[stage.dtype.value]

    def admit(self, data: bytes, body_length: int) -> StagePart:
        """What a ticket held, against the tensor beside it, before that is allocated. Raises MessageError."""
        if self._runner is None:
            raise MessageError("a step for a worker that holds no stage")
        return admit_part(
            data,
            body_length,
            row_bytes=self._row_bytes(),
            is_first=self._runner.stage.is_first,
            token_budget=self._token_budget,
        )

    def run(self, part: StagePart, body: bytearray) -> asyncio.Future[Outcome]:
        """Compute one step's part; steps run in the order of these calls.

        Raises MessageError when the stage was dropped since the step's admission.
        """
        if self._runner is None:
            raise MessageError("a step for a worker that holds no stage")
        return asyncio.get_running_loop().run_in_executor(self._compute, self._runner.run, part, body)

    async def forget(self) -> None:
        """No sequence is open any more, after whatever is still computing."""
        if self._runner is not None:
            await asyncio.get_running_loop().run_in_executor(self._compute, self._runner.forget)

    async def close(self) -> None:
        await self.drop()
        self._compute.shutdown()

    def _hold(self, assignment: Assignment, data_keys: SecretBytes) -> LoadedStage:
        """In the compute thread, like `_release`: no other touches what is loaded."""
        self._loaded = load_stage(assignment, data_keys, self._store)
        if assignment.tokenizer is not None:
            start = partial(GrammarProcess, assignment.tokenizer, self._loaded.stage.vocabulary_size, HEADROOM)
            self._constraints = Constraints(start)
        return self._loaded

    def _release(self) -> None:
        loaded, self._loaded = self._loaded, None
        constraints, self._constraints = self._constraints, None
        if constraints is not None:
            constraints.stop()
        if loaded is not None:
            loaded.release()

    def _row_bytes(self) -> int:
        assert self._runner is not None  # both callers looked
        return self._runner.stage.hidden_size * self._runner.stage.dtype.size


def _measure(order: ProbeStage) -> StageProbed:
    """Half of the memory at most is taken for it: others may want some meanwhile."""
    memory = available_bytes()
    if not order.rows:
        return StageProbed(memory)
    times = time_stage(order.config, DataType(order.compute.name), order.rows, memory // 2, time.perf_counter)
    return StageProbed(memory, _points(times.layer), _points(times.embedding), _points(times.head))


def _points(times: Mapping[int, float]) -> tuple[ProbePoint, ...]:
    return tuple(ProbePoint(rows, int(seconds * 1e9)) for rows, seconds in times.items())
