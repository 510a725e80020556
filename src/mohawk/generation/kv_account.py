"""The controller's account of the stages' KV pools, in blocks of 16 tokens: the same on all stages.

Rules, and what each stops:
- The account and the pools agree because each step's `closed` are freed before anything is reserved, in the order of
  the steps: a stage that follows the orders never runs out of room.
- What ended keeps its room until somebody needs it; whoever runs is never thrown out for what only might be of use.
- A donor is not freed in the order that copies from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Tokens
from dataclasses import dataclass

from mohawk.generation.orders import GrowthOrder, OpeningOrder, Source
from mohawk.generation.retained import PrefixIndex, Retained, Shelf
from mohawk.generation.session import Sequence
from mohawk.nouns.model import BLOCK_TOKENS, blocks_for

GROWTH_BLOCKS = 4
"""Room is taken for so many blocks at a time: each growth may make a stage move memory."""


@dataclass(slots=True)
class Changes:
    """What the next order tells the stages. `closed`: to be freed. `retired`: ended and kept, they sample no more."""

    closed: list[int]
    retired: list[int]
    growths: list[GrowthOrder]


class KVAccount:
    """`kv_tokens` tokens in all. `salt`: random, keys the digests of shared prompts."""

    def __init__(self, kv_tokens: int, salt: bytes) -> None:
        self.total = kv_tokens // BLOCK_TOKENS
        self.free = self.total
        self._shelf = Shelf()
        self._index = PrefixIndex(salt)
        self._lent: set[int] = set()
        """Donors of the order that is being made."""
        self._changes = Changes([], [], [])

    @property
    def retained(self) -> int:
        """Blocks that can be had back."""
        return self._shelf.blocks

    def open(self, sequence: Sequence, spare: int) -> OpeningOrder | None:
        """Take room for a sequence, beginning with what is there of its history already. None: there is no room, with
        `spare` blocks left to those who run.
        """
        blocks = _first_blocks(sequence)
        source = self._find_source(sequence)
        if source is not None and source.adopts:
            blocks = max(blocks, self._shelf[source.donor].blocks)
            taken = self._adopt(source, blocks, spare)
        else:
            taken = self._make_room(blocks, spare, source.donor if source else None)
        if not taken:
            return None
        if source is not None:
            self._lent.add(source.donor)
        sequence.blocks = blocks
        sequence.computed = sequence.cached = source.tokens if source else 0
        return OpeningOrder(sequence.id, blocks * BLOCK_TOKENS, sequence.request.sampling, sequence.generated, source)

    def places(self, sequence: Sequence, running: int) -> int:
        """For how many like this one there is room, with a block more for each that runs then."""
        return max(0, (self.free + self.retained - running + 1) // (_first_blocks(sequence) + 1))

    def grow(self, sequence: Sequence, count: int) -> bool:
        """Whether there is room for `count` more tokens, or some could be taken."""
        needed = blocks_for(sequence.computed + sequence.flying + count)
        if needed <= sequence.blocks:
            return True
        generous = min(needed + GROWTH_BLOCKS - 1, blocks_for(sequence.request.maximum_tokens))
        for blocks in (generous, needed):
            if self._make_room(blocks - sequence.blocks, 0):
                sequence.blocks = blocks
                self._changes.growths.append(GrowthOrder(sequence.id, blocks * BLOCK_TOKENS))
                return True
        return False

    def offer(self, sequence: Sequence) -> None:
        """More of its prompt was computed: others may begin with it."""
        caller = sequence.request.caller
        self._index.add(sequence.id, caller.tenant, sequence.history[: sequence.computed])

    def keep(self, sequence: Sequence) -> None:
        """It ended well: what it held stays until somebody needs the room."""
        if sequence.computed < BLOCK_TOKENS:
            self.close(sequence)
            return
        caller, tokens = sequence.request.caller, tuple(sequence.history[: sequence.computed])
        self._index.add(sequence.id, caller.tenant, tokens)
        replaced = self._shelf.put(Retained(sequence.id, caller.tenant, caller.session, tokens, sequence.blocks))
        self._changes.retired.append(sequence.id)
        if replaced is not None:
            self._free(replaced)

    def close(self, sequence: Sequence) -> None:
        """What it held is given back."""
        self._index.remove(sequence.id)
        self.free += sequence.blocks
        self._changes.closed.append(sequence.id)
        sequence.forget()

    def end_session(self, session: str) -> None:
        """What was kept for its next turn is given back."""
        kept = self._shelf.of_session(session)
        if kept is not None:
            self._free(self._shelf.take(kept.id))

    @property
    def has_changes(self) -> bool:
        """The stages hold what they need not."""
        return bool(self._changes.closed)

    def take_changes(self) -> Changes:
        """For the order that is made now."""
        changes, self._changes = self._changes, Changes([], [], [])
        self._lent.clear()
        return changes

    def repeat(self, closed: Iterable[int]) -> None:
        """An order was lost: what it closed, opened or copied from is closed once more, unless it is kept. Closing
        twice does nothing.
        """
        self._changes.closed[:0] = [number for number in closed if number not in self._shelf]

    def reset(self) -> None:
        """The stages hold nothing any more."""
        self.free = self.total
        self._shelf.clear()
        self._index.clear()
        self.take_changes()

    def _find_source(self, sequence: Sequence) -> Source | None:
        """The longest beginning of its history that the stages hold. One token must be left to compute."""
        history, caller = sequence.history, sequence.request.caller
        found = self._index.find(caller.tenant, history[: len(history) - 1])
        kept = self._shelf.of_session(caller.session)
        if kept is not None and kept.tenant == caller.tenant:
            common = _common(kept.tokens, history[: len(history) - 1])
            if common >= max(BLOCK_TOKENS, found[1] if found else 0):
                return Source(kept.id, common, adopts=True)
        if found is None:
            return None
        donor, tokens = found
        return Source(donor, tokens, adopts=donor in self._shelf and not self._is_worth_two(donor, tokens, sequence))

    def _is_worth_two(self, donor: int, tokens: int, sequence: Sequence) -> bool:
        """Whether to copy a kept donor instead of taking it over: it holds more than is asked for, and there is free
        room.
        """
        kept = self._shelf[donor]
        return kept.tokens[tokens:] != () and self.free >= blocks_for(len(sequence.history)) + GROWTH_BLOCKS

    def _adopt(self, source: Source, blocks: int, spare: int) -> bool:
        donor = self._shelf[source.donor]
        if not self._make_room(blocks - donor.blocks, spare, source.donor):
            return False
        self._shelf.take(source.donor)
        self._index.remove(source.donor)
        return True

    def _make_room(self, blocks: int, spare: int, donor: int | None = None) -> bool:
        """Take `blocks` out of what is free, and out of what is kept for those who might come back."""
        spared = self._lent if donor is None else self._lent | {donor}
        kept = self._shelf.blocks - sum(self._shelf[number].blocks for number in spared if number in self._shelf)
        if blocks + spare > self.free + kept:
            return False
        while blocks > self.free:
            oldest = self._shelf.oldest(spared)
            assert oldest is not None  # the sum above says so
            self._free(self._shelf.take(oldest.id))
        self.free -= blocks
        return True

    def _free(self, kept: Retained) -> None:
        self._index.remove(kept.id)
        self.free += kept.blocks
        self._changes.closed.append(kept.id)


def _first_blocks(sequence: Sequence) -> int:
    """With which it begins."""
    return min(blocks_for(len(sequence.history)) + GROWTH_BLOCKS, blocks_for(sequence.request.maximum_tokens))


def _common(kept: Tokens[int], wanted: Tokens[int]) -> int:
    """How many tokens both begin with."""
    for count, (one, other) in enumerate(zip(kept, wanted, strict=False)):
        if one != other:
            return count
    return min(len(kept), len(wanted))
