"""Grammars tried before any worker hears of them: one at a time, in a child with a second and 64 MiB (I09)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

from mohawk.checkpoint.grammar import TRIAL_HEADROOM, GrammarProcess
from mohawk.crypto.primitives import sha256
from mohawk.errors import UnavailableError, UsageError
from mohawk.nouns.sampling import Grammar

WAITING = 16
"""Grammars that may wait for their trial: behind as many hostile ones, the last waits 16 seconds."""
_REMEMBERED = 1024


class GrammarTrial:
    """One model's. Used from one event loop; the child is started by the first grammar."""

    def __init__(self, tokenizer: bytes, vocabulary: int) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._good: OrderedDict[bytes, None] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, "grammar-trial")
        self._process: GrammarProcess | None = None
        self._waiting = 0
        self._is_closed = False
        self._is_hopeless = False
        """The model's tokenizer does not go with grammars; trying again for each request would cost seconds."""

    async def check(self, grammar: Grammar) -> None:
        """Raises UsageError with the reason when it is refused or the model's tokenizer does not go with grammars,
        UnavailableError when too many wait.
        """
        digest = sha256(grammar.text.encode("utf-8"))
        if digest not in self._good:
            await self._try_in_turn(grammar)
            self._good[digest] = None
            if len(self._good) > _REMEMBERED:
                self._good.popitem(last=False)
        self._good.move_to_end(digest)

    def close(self) -> None:
        """End the child. Once is enough, twice does nothing."""
        if not self._is_closed:
            self._is_closed = True
            self._thread.submit(self._end)
            self._thread.shutdown()

    async def _try_in_turn(self, grammar: Grammar) -> None:
        if self._waiting >= WAITING:
            raise UnavailableError("too many schemas wait to be compiled", hint="try again in a few seconds")
        self._waiting += 1
        try:
            reason = await asyncio.get_running_loop().run_in_executor(self._thread, self._try, grammar)
        finally:
            self._waiting -= 1
        if reason:
            raise UsageError(f"this schema cannot be followed: {reason}", field="response_format")

    def _try(self, grammar: Grammar) -> str:
        try:
            return self._ready().try_grammar(grammar)
        except UsageError:
            self._end()
            raise

    def _ready(self) -> GrammarProcess:
        """The child. Raises UsageError when there will never be one."""
        if self._process is None and not self._is_hopeless:
            self._process = GrammarProcess(self._tokenizer, self._vocabulary, TRIAL_HEADROOM)
            try:
                self._process.await_ready()
            except UnavailableError:
                self._is_hopeless = True
        if self._process is None or self._is_hopeless:
            raise UsageError("no answer of this model can be held to a format", field="response_format")
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None
