"""Keys and values that are worth keeping: of sequences that ended, and prompts that several sequences share.

Rules, and the attack each stops:
- A tenant finds its own tokens only: block digests are keyed, and start from the tenant's name. A shared cache would
  tell by its timing what others asked (AUC 0.64 for a single token in published attacks).
- A digest stands for all tokens up to its block, and BLAKE2b with a key that no client knows cannot be made to collide:
  nobody is answered from another prompt's keys and values.
- Only what every stage has computed is offered, never what is still under way.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from hashlib import blake2b

from mohawk.nouns.model import BLOCK_TOKENS

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Retained:
    """Keys and values of `tokens`, left behind by sequence `id` in `blocks` blocks. `session`: whose next turn they
    wait for.
    """

    id: int
    tenant: str
    session: str | None
    tokens: tuple[int, ...]
    blocks: int


class PrefixIndex:
    """Which sequences hold the keys and values of a prompt's beginning. `salt`: random, one for the process."""

    def __init__(self, salt: bytes) -> None:
        self._salt = salt
        self._holders: dict[bytes, dict[int, None]] = {}
        self._digests: dict[int, list[bytes]] = {}

    def add(self, sequence: int, tenant: str, tokens: Sequence[int]) -> None:
        """Sequence `sequence` holds keys and values of all of `tokens`; whole blocks of them are offered."""
        known = self._digests.setdefault(sequence, [])
        for digest in self._chain(tenant, tokens[: len(tokens) - len(tokens) % BLOCK_TOKENS], known):
            known.append(digest)
            self._holders.setdefault(digest, {})[sequence] = None

    def remove(self, sequence: int) -> None:
        """Its keys and values are gone; of an unknown sequence: nothing."""
        for digest in self._digests.pop(sequence, ()):
            holders = self._holders[digest]
            del holders[sequence]
            if not holders:
                del self._holders[digest]

    def find(self, tenant: str, tokens: Sequence[int]) -> tuple[int, int] | None:
        """(a sequence that begins with the same tokens, how many of them), the longest there is."""
        found = None
        for count, digest in enumerate(self._chain(tenant, tokens), start=1):
            holders = self._holders.get(digest)
            if holders is None:
                break
            found = (next(reversed(holders)), count * BLOCK_TOKENS)
        return found

    def clear(self) -> None:
        self._holders.clear()
        self._digests.clear()

    def _chain(self, tenant: str, tokens: Sequence[int], known: Sequence[bytes] = ()) -> Iterator[bytes]:
        """Digests of the whole blocks of `tokens` after the `known` ones."""
        digest = known[-1] if known else blake2b(tenant.encode(), key=self._salt, digest_size=_DIGEST_BYTES).digest()
        for begin in range(len(known) * BLOCK_TOKENS, len(tokens) - BLOCK_TOKENS + 1, BLOCK_TOKENS):
            block = b"".join(token.to_bytes(4, "little") for token in tokens[begin : begin + BLOCK_TOKENS])
            digest = blake2b(digest + block, key=self._salt, digest_size=_DIGEST_BYTES).digest()
            yield digest


class Shelf:
    """What ended sequences left behind, least recently used first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, Retained] = OrderedDict()
        self._by_session: dict[str, int] = {}
        self.blocks = 0

    def __contains__(self, sequence: int) -> bool:
        return sequence in self._kept

    def __getitem__(self, sequence: int) -> Retained:
        return self._kept[sequence]

    def put(self, kept: Retained) -> Retained | None:
        """Keep it; what it replaces is returned: a session's last turn says all that its earlier ones said."""
        replaced = None
        if kept.session is not None:
            earlier = self._by_session.get(kept.session)
            replaced = self.take(earlier) if earlier is not None else None
            self._by_session[kept.session] = kept.id
        self._kept[kept.id] = kept
        self.blocks += kept.blocks
        return replaced

    def take(self, sequence: int) -> Retained:
        kept = self._kept.pop(sequence)
        if kept.session is not None:
            del self._by_session[kept.session]
        self.blocks -= kept.blocks
        return kept

    def touch(self, sequence: int) -> None:
        """It was of use."""
        self._kept.move_to_end(sequence)

    def of_session(self, session: str | None) -> Retained | None:
        number = self._by_session.get(session) if session is not None else None
        return None if number is None else self._kept[number]

    def oldest(self, spared: Set[int]) -> Retained | None:
        """The least recently used one that is not `spared`."""
        return next((kept for number, kept in self._kept.items() if number not in spared), None)

    def clear(self) -> None:
        self._kept.clear()
        self._by_session.clear()
        self.blocks = 0
