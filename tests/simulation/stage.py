"""A toy model in stages: the next token is a function of the whole history, as every stage of the chain remembers it.

A stage keeps the rules of `model.kv_pool` and `model.sampler`: room is there, a segment continues its own sequence, a
copy was computed, and only what is open is sampled. It also keeps a digest of each sequence's tokens, up to each of
them. A row comes with the digest that the stage before had for it; when that is not its own, what goes on is garbage, and so
is the token in the end: a stage with the wrong keys and values shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate

from mohawk.contract.steps import Opening, SampledToken, StagePart
from mohawk.errors import MessageError, UnavailableError
from mohawk.generation.session import GenerationRequest
from mohawk.nouns.model import BLOCK_TOKENS

VOCABULARY = 64
END = 0
_MASK = 0xFFFFFFFF

Rows = tuple[list[int], list[int]]
"""Each row's value, a token as long as all stages agree, and the digest of its sequence up to it."""


def extend(digest: int, value: int) -> int:
    return (digest * 1103515245 + value + 12345) & _MASK


def choose(history: int, generated: int) -> int:
    """The next token, by digests of all tokens and of those generated."""
    return (((history ^ (generated * 69069)) * 2654435761 & _MASK) >> 9) % VOCABULARY


def letter(token: int) -> str:
    return chr(48 + token)


def solo(request: GenerationRequest) -> Iterator[int]:
    """The tokens of a request that is alone in the world."""
    history = generated = 0
    for token in request.prompt:
        history = extend(history, token)
    for _ in range(request.maximum_new_tokens):
        token = choose(history, generated)
        yield token
        if token in request.end_of_sequence or letter(token) in request.stop:
            return
        history, generated = extend(history, token), extend(generated, token)


class ToyStage:
    """One stage, with room for `kv_tokens` tokens."""

    def __init__(self, kv_tokens: int, *, is_first: bool, is_last: bool) -> None:
        self._kv_tokens = kv_tokens
        self._is_first = is_first
        self._is_last = is_last
        self.rooms: dict[int, int] = {}
        self.digests: dict[int, list[int]] = {}
        self.sampled: dict[int, int] = {}
        """Of each sequence that is sampled, the digest of its generated tokens."""
        self.used = 0

    def clear(self) -> None:
        self.rooms.clear()
        self.digests.clear()
        self.sampled.clear()
        self.used = 0

    def run(self, part: StagePart, rows: Rows) -> tuple[Rows, tuple[SampledToken, ...]]:
        """Raises MessageError, UnavailableError: what was asked breaks the rules."""
        for sequence in part.closed:
            self._free(sequence)
        for sequence in part.retired:
            self.sampled.pop(sequence, None)
        for growth in part.growths:
            require(growth.sequence in self.rooms, "room for a sequence that is not open")
            self._take(growth.sequence, max(self.rooms[growth.sequence], growth.reserve_tokens))
        for opening in part.openings:
            self._open(opening)
        return self._compute(part, rows)

    def _free(self, sequence: int) -> None:
        self.used -= self.rooms.pop(sequence, 0)
        self.digests.pop(sequence, None)
        self.sampled.pop(sequence, None)

    def _take(self, sequence: int, tokens: int) -> None:
        more = tokens - self.rooms.get(sequence, 0)
        require(tokens % BLOCK_TOKENS == 0, "room that is not whole blocks")
        if self.used + more > self._kv_tokens:
            raise UnavailableError("no room")
        self.rooms[sequence] = tokens
        self.used += more

    def _open(self, opening: Opening) -> None:
        sequence, source = opening.sequence, opening.source
        require(sequence not in self.rooms, "a sequence that is open already")
        known: list[int] = []
        if source is not None:
            donor = self.digests.get(source.donor, [])
            require(0 < source.tokens <= len(donor), "a copy of what was not computed")
            known = donor[: source.tokens]
        if source is not None and source.adopts:
            self.rooms[sequence] = self.rooms.pop(source.donor)
            self._free(source.donor)
        self._take(sequence, max(opening.reserve_tokens, self.rooms.get(sequence, 0)))
        require(len(known) <= self.rooms[sequence], "a copy that does not fit")
        self.digests[sequence] = known
        if opening.sampling is not None:
            self.sampled[sequence] = fold(opening.generated)

    def _compute(self, part: StagePart, rows: Rows) -> tuple[Rows, tuple[SampledToken, ...]]:
        """Nothing of a refused step counts."""
        values, told = (list(part.token_ids), []) if self._is_first else rows
        sums: list[list[int]] = []
        row = 0
        for segment in part.segments:
            held = self.digests.get(segment.sequence)
            require(held is not None and segment.start == len(held), "a segment that does not continue its sequence")
            require(segment.start + segment.count <= self.rooms[segment.sequence], "a segment beyond its room")
            require(not (self._is_last and segment.sample) or segment.sequence in self.sampled, "nobody to sample")
            before = held[-1] if held else 0
            sums.append(list(accumulate(values[row : row + segment.count], extend, initial=before))[1:])
            row += segment.count
        tokens = []
        for segment, new in zip(part.segments, sums, strict=True):
            self.digests[segment.sequence] += new
            if self._is_last and segment.sample:
                tokens.append(self._sample(segment.sequence, new[-1]))
        own = [digest for new in sums for digest in new]
        if not self._is_first and own != told:
            values = own
        return (values, own), tuple(tokens)

    def _sample(self, sequence: int, history: int) -> SampledToken:
        token = choose(history, self.sampled[sequence])
        self.sampled[sequence] = extend(self.sampled[sequence], token)
        return SampledToken(sequence, token)


def fold(tokens: Iterable[int]) -> int:
    digest = 0
    for token in tokens:
        digest = extend(digest, token)
    return digest


def require(is_kept: bool, rule: str) -> None:
    if not is_kept:
        raise MessageError(rule)
