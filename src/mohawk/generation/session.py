"""A request for text, and the sequence of tokens that answers it.

The token history is the truth: keys and values, sampler state and text are all functions of it, so whatever a lost
worker held is computed again from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import NamedTuple

from mohawk.errors import UsageError
from mohawk.nouns.model import SamplingParameters
from mohawk.nouns.sampling import TokenLogprobs

MAXIMUM_STOP_STRINGS = 16
MAXIMUM_STOP_CHARACTERS = 256


class Priority(IntEnum):
    """How urgent a request is to its operator. A lower number goes first."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf tokens are generated. Tenants share nothing: not a turn in the queue, not a cached prompt.
    `session`: whose keys and values go on from turn to turn.
    """

    tenant: str = "default"
    priority: Priority = Priority.NORMAL
    session: str | None = None


class FinishReason(StrEnum):
    """Why a sequence ended. The first two are the OpenAI API's words."""

    STOP = "stop"
    """The model ended it, or a stop string came."""
    LENGTH = "length"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """`prompt` and `end_of_sequence` are token ids. Raises UsageError naming the field, in the API's words."""

    prompt: tuple[int, ...]
    maximum_new_tokens: int
    sampling: SamplingParameters
    stop: tuple[str, ...] = ()
    end_of_sequence: frozenset[int] = frozenset()
    caller: Caller = Caller()
    is_sibling: bool = False
    """Another answer to a prompt whose first answer was let in: turned away, it would spoil that one too."""

    def __post_init__(self) -> None:
        if not self.prompt:
            raise UsageError("a prompt needs at least one token", field="prompt")
        if self.maximum_new_tokens < 1:
            raise UsageError("max_tokens must be at least 1", field="max_tokens")
        if len(self.stop) > MAXIMUM_STOP_STRINGS:
            raise UsageError(f"stop takes at most {MAXIMUM_STOP_STRINGS} strings", field="stop")
        if not all(0 < len(text) <= MAXIMUM_STOP_CHARACTERS for text in self.stop):
            raise UsageError(f"a stop string has 1 to {MAXIMUM_STOP_CHARACTERS} characters", field="stop")

    @property
    def maximum_tokens(self) -> int:
        """Tokens that the sequence may grow to: what its keys and values need room for."""
        return len(self.prompt) + self.maximum_new_tokens


@dataclass(slots=True)
class Sequence:
    """One request on its way. `history` is prompt and generated tokens; the first `computed` of them have their keys
    and values on every stage, the next `flying` are under way there.
    """

    id: int
    request: GenerationRequest
    history: list[int] = field(init=False)
    computed: int = 0
    flying: int = 0
    blocks: int = 0
    """Room for keys and values that the stages hold for it."""
    cached: int = 0
    """Tokens of its prompt whose keys and values were there already when it was admitted."""
    failures: int = 0
    """Steps that failed under it since its last token."""
    attempt: int = 0
    """Grows whenever its keys and values are forgotten: what is still under way for an earlier attempt is void."""
    last_step: int = 0
    """The latest step that it had a part in."""
    finish: FinishReason | None = None

    def __post_init__(self) -> None:
        self.history = list(self.request.prompt)

    @property
    def generated(self) -> tuple[int, ...]:
        return tuple(self.history[len(self.request.prompt) :])

    @property
    def generated_count(self) -> int:
        return len(self.history) - len(self.request.prompt)

    @property
    def pending(self) -> int:
        """Tokens to send down the chain before the next one can be sampled: 1 while decoding, 0 while it is awaited."""
        return len(self.history) - self.computed - self.flying

    @property
    def is_decoding(self) -> bool:
        """It needs one token of each step, or has it under way."""
        return self.pending <= 1

    def next_tokens(self, count: int) -> list[int]:
        """The first `count` of those that are pending."""
        start = self.computed + self.flying
        return self.history[start : start + count]

    def append(self, token: int) -> FinishReason | None:
        """Take a sampled token; the reason when it is the last one."""
        self.history.append(token)
        self.failures = 0
        if token in self.request.end_of_sequence:
            self.finish = FinishReason.STOP
        elif len(self.history) >= self.request.maximum_tokens:
            self.finish = FinishReason.LENGTH
        return self.finish

    def forget(self) -> None:
        """Its keys and values are gone: all of its history is to be computed again."""
        self.computed = self.flying = self.blocks = 0
        self.attempt += 1


class TextDelta(NamedTuple):
    """A piece of an answer. `tokens`: generated so far; `finish_reason`: set on the last piece. A tuple, like all that
    is made anew for every token: making a frozen dataclass takes several times as long.
    """

    text: str
    tokens: int
    finish_reason: FinishReason | None = None
    token: int | None = None
    """The id of the token that brought this piece."""
    logprobs: TokenLogprobs | None = None
    """The token's, where the request's sampling asks for them."""
    batch: int = 1
    """Sequences that got a token in the same step."""
    cached: int = 0
    """Tokens of the prompt that did not have to be computed."""
