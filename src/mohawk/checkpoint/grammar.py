"""Grammars that an answer must keep to, followed in a child process that can be killed (`grammar_child`).

A grammar is text: llguidance's own JSON, which holds a JSON Schema. What may come next is a function of the grammar and
the tokens generated so far, so a sequence that is opened with its history goes on as it would have.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from mohawk.artifact.strict_json import JsonObject, parse_object
from mohawk.checkpoint.child import LENGTH, Child
from mohawk.errors import ArtifactError, UnavailableError, UsageError
from mohawk.nouns.sampling import Grammar

TRIAL_SECONDS = 1.0
TRIAL_HEADROOM = 64 << 20
"""Bytes that a grammar may take beside the tokenizer."""
_START_SECONDS = 30.0
"""A tokenizer of 250 000 entries needs three."""
_REPLY_LIMIT = 1 << 20
_ENVIRONMENT = {"RAYON_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
"""One thread, one heap: others would reserve address space that the limit counts."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """A sequence to follow, and what it has generated already."""

    sequence: int
    grammar: Grammar
    generated: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Masks:
    """`allowed`: sequence -> mask, bit i (the lowest first) for token i. `failed`: sequences that no mask can be had of
    any more.
    """

    allowed: dict[int, bytes]
    failed: frozenset[int]


class GrammarProcess:
    """The child. Not for several threads at once. After a failure of it, only `kill` is left to call."""

    def __init__(self, tokenizer: bytes, vocabulary: int, headroom: int) -> None:
        """From tokenizer.json; nothing is waited for. Raises HostError without a child, ArtifactError."""
        try:
            start = {"tokenizer": tokenizer.decode("utf-8"), "vocabulary": vocabulary, "headroom": headroom}
        except UnicodeDecodeError as error:
            raise ArtifactError("tokenizer.json is not UTF-8") from error
        self._mask_bytes = (vocabulary + 7) // 8
        self._start: dict[str, object] | None = start
        self._child = Child("mohawk.checkpoint.grammar_child", _ENVIRONMENT)

    def await_ready(self) -> None:
        """Raises UnavailableError: this tokenizer cannot be followed, or the machine is too slow."""
        if self._start is None:
            return
        deadline = time.monotonic() + _START_SECONDS
        try:
            self._send(self._start, deadline)
            self._receive(deadline)
        except (BrokenPipeError, EOFError, TimeoutError) as error:
            raise UnavailableError("grammars cannot be followed with this model's tokenizer") from error
        self._start = None

    def try_grammar(self, grammar: Grammar) -> str:
        """Why it is refused; empty when it is good. Blocks up to a second.

        Raises UsageError when it takes more than that, or more memory than the headroom; then `kill` it.
        """
        deadline = time.monotonic() + TRIAL_SECONDS
        try:
            self._send({"try": grammar.text, "ends": list(grammar.ends)}, deadline)
            return str(self._receive(deadline)["refused"])
        except (BrokenPipeError, EOFError, TimeoutError) as error:
            raise UsageError("this schema takes too much time or memory to compile", field="response_format") from error

    def send_step(
        self,
        opened: Sequence[Beginning],
        closed: Sequence[int],
        accepted: Sequence[tuple[int, int]],
        wanted: Sequence[int],
        deadline: float,
    ) -> None:
        """Ask for the masks of `wanted`, after what happened since. `accepted`: (sequence, token); `deadline`: of
        time.monotonic. Raises UnavailableError.
        """
        opening = [
            {
                "sequence": one.sequence,
                "grammar": one.grammar.text,
                "ends": list(one.grammar.ends),
                "generated": list(one.generated),
            }
            for one in opened
        ]
        request: dict[str, object] = {"open": opening, "close": list(closed), "accept": list(accepted)}
        try:
            self._send({**request, "masks": list(wanted)}, deadline)
        except (BrokenPipeError, TimeoutError) as error:
            raise UnavailableError("the grammars' process is gone") from error

    def receive_step(self, wanted: Sequence[int], deadline: float) -> Masks:
        """The answer to the oldest `send_step` whose answer is still to come. Raises UnavailableError."""
        try:
            reply = self._receive(deadline)["failed"]
            assert isinstance(reply, list)
            failed = frozenset(int(str(sequence)) for sequence in reply)
            allowed = {
                sequence: self._read(self._mask_bytes, deadline) for sequence in wanted if sequence not in failed
            }
        except (EOFError, TimeoutError) as error:
            raise UnavailableError("the grammars' process is gone") from error
        return Masks(allowed, failed)

    def kill(self) -> None:
        self._child.kill()

    def _send(self, request: dict[str, object], deadline: float) -> None:
        data = json.dumps(request, ensure_ascii=False).encode("utf-8")
        self._child.write(LENGTH.pack(len(data)) + data, deadline)

    def _receive(self, deadline: float) -> JsonObject:
        (length,) = LENGTH.unpack(self._read(LENGTH.size, deadline))
        if length > _REPLY_LIMIT:
            raise EOFError
        return parse_object(self._read(length, deadline), limit=_REPLY_LIMIT, tokens=length)

    def _read(self, size: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < size:
            data += self._child.read(size - len(data), deadline)
        return bytes(data)
