"""Packs whole conversations into rows, with a mask that keeps them apart."""

from dataclasses import dataclass

import torch

from demo.corpus import Corpus
from demo.vocabulary import IGNORED, Encoder

POOL_SIZE = 32


@dataclass(frozen=True)
class Batch:
    """Rows of packed conversations."""

    ids: torch.Tensor
    labels: torch.Tensor
    positions: torch.Tensor
    owners: torch.Tensor
    """The number of the conversation a place belongs to, from 1; 0 is padding."""

    def mask(self, dtype: torch.dtype) -> torch.Tensor:
        """What is added to attention scores: zero inside a conversation's past, the lowest number elsewhere."""
        same = self.owners[:, None, :, None] == self.owners[:, None, None, :]
        past = torch.ones(self.ids.shape[1], self.ids.shape[1], dtype=torch.bool).tril()
        return torch.zeros(same.shape, dtype=dtype).masked_fill(~(same & past), torch.finfo(dtype).min)


class Packer:
    """Fills rows with whole conversations from a small pool; none is cut."""

    def __init__(
        self, corpus: Corpus, encoder: Encoder, *, rows: int, length: int, turn_counts: tuple[int, ...]
    ) -> None:
        self._corpus, self._encoder, self._turn_counts = corpus, encoder, turn_counts
        self._rows, self._length = rows, length
        self._pool: list[tuple[list[int], list[int]]] = []

    def batch(self) -> Batch:
        """The next batch."""
        shape = (self._rows, self._length)
        batch = Batch(
            ids=torch.zeros(shape, dtype=torch.long),
            labels=torch.full(shape, IGNORED),
            positions=torch.zeros(shape, dtype=torch.long),
            owners=torch.zeros(shape, dtype=torch.long),
        )
        for row in range(self._rows):
            self._fill(batch, row)
        return batch

    def _fill(self, batch: Batch, row: int) -> None:
        start, owner = 0, 1
        while (taken := self._take(self._length - start)) is not None:
            ids, labels = taken
            place = slice(start, start + len(ids))
            batch.ids[row, place] = torch.tensor(ids)
            batch.labels[row, place] = torch.tensor(labels)
            batch.positions[row, place] = torch.arange(len(ids))
            batch.owners[row, place] = owner
            start, owner = place.stop, owner + 1

    def _take(self, room: int) -> tuple[list[int], list[int]] | None:
        """The oldest conversation in the pool that fits; near the end of a row the longest that fits."""
        while len(self._pool) < POOL_SIZE:
            conversation = self._corpus.conversation(self._turn_counts)
            self._pool.append(self._encoder.encode(conversation, self._length))
        fitting = [place for place, (ids, _) in enumerate(self._pool) if len(ids) <= room]
        if not fitting:
            return None
        best = fitting[0] if room > self._length // 3 else max(fitting, key=lambda place: len(self._pool[place][0]))
        return self._pool.pop(best)
