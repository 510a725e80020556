"""One stage of the chain: some layers of a model, and the keys and values of every open sequence.

What a pass receives is checked before a kernel sees it: token ids against the vocabulary, activations for NaN and
infinity (one poisoned row would otherwise stay in a sequence's history), positions against the sequence's own length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from mohawk.errors import MessageError, UnsupportedModelError, UsageError
from mohawk.model.attention import POOL_ATTENTION, Pass, check_layers
from mohawk.model.families import is_sparse
from mohawk.model.kv_pool import KVPool, Segment
from mohawk.model.linear import PackedLinear, choose_kernels, pack, packed_layers
from mohawk.model.tensors import TORCH_TYPES
from mohawk.nouns.model import BLOCK_TOKENS, DataType, LayerRange, blocks_for

__all__ = ["Segment", "Stage"]

_DATA_TYPES = {value: key for key, value in TORCH_TYPES.items()}


class Stage:
    """Built by `mohawk.model.loading.build_stage`. Used from one thread only."""

    def __init__(self, model: Any, layers: LayerRange, total: int, pool: KVPool) -> None:
        self.layers = layers
        self.is_first = layers.first == 0
        self.is_last = layers.last == total - 1
        self._model = model
        self._decoder = model.get_decoder()
        self._pool = pool
        config = self._decoder.config
        self.hidden_size: int = config.hidden_size
        self.vocabulary_size: int = config.vocab_size
        self.context_length: int = getattr(config, "max_position_embeddings", None) or pool.capacity
        self.is_sparse = is_sparse(config)
        if config._attn_implementation != POOL_ATTENTION:
            raise UnsupportedModelError("this family does not accept the attention it was given")

    @property
    def dtype(self) -> DataType:
        """Type of the activations, of keys and of values."""
        return _DATA_TYPES[self._pool.keys[0].dtype]

    @property
    def capacity(self) -> int:
        """Tokens that the KV pool holds, over all sequences."""
        return self._pool.capacity

    @property
    def kv_bytes(self) -> int:
        """Bytes of the KV pool."""
        return self._pool.size

    def parameters(self) -> dict[str, torch.Tensor]:
        """The stage's parameters, by their name within the slice."""
        return dict(self._model.named_parameters())

    def pack(self) -> None:
        """Lay a second copy of bfloat16 weights out for the processor's kernels: twice the memory of the weights, and
        passes of two rows and more in two thirds to nine tenths of the time.
        """
        pack(self._model)

    def packed(self) -> list[PackedLinear]:
        """The layers that have such a copy."""
        return packed_layers(self._model)

    @torch.inference_mode()
    def overwrite(self) -> None:
        """Zeros over parameters, keys and values. What was packed, or converted to another type, is a copy of its own,
        which giving back the opened slice would leave behind. The stage computes nothing any more.
        """
        self._pool.overwrite()
        for layer in self.packed():
            layer.overwrite()
        for tensor in self._model.state_dict().values():
            tensor.zero_()

    def reserve(self, sequence: int, tokens: int) -> None:
        """Open a sequence that grows to `tokens` tokens at most; the last block may reach beyond the context.

        Raises UsageError beyond the model's context, UnavailableError when the pool is full.
        """
        self._check_context(tokens)
        self._pool.reserve(sequence, tokens)

    def grow(self, sequence: int, tokens: int) -> None:
        """Room for `tokens` tokens in all. Raises like `reserve`, MessageError on an unknown sequence."""
        self._check_context(tokens)
        self._pool.grow(sequence, tokens)

    def copy(self, donor: int, sequence: int, tokens: int) -> None:
        """`sequence`, just opened, begins with the first `tokens` tokens of `donor`. Raises MessageError."""
        self._pool.copy(donor, sequence, tokens)

    def adopt(self, donor: int, sequence: int, tokens: int, reserve: int) -> None:
        """Open `sequence` in the room of `donor`, which ends, with the first `tokens` of its tokens. Raises like
        `grow`.
        """
        self._check_context(reserve)
        self._pool.adopt(donor, sequence, tokens, reserve)

    def free(self, sequence: int) -> None:
        """Close a sequence; of an unknown one: nothing."""
        self._pool.free(sequence)

    def clear(self) -> None:
        """Close all sequences."""
        self._pool.clear()

    @torch.inference_mode()
    def run(
        self, segments: Sequence[Segment], rows: Sequence[int] | torch.Tensor, sample_rows: Sequence[int] = ()
    ) -> torch.Tensor:
        """One pass over the new tokens of all segments, in order, as one row of tokens.

        `rows`: token ids on the first stage, else activations [rows, hidden size]. Returns activations [rows, hidden
        size], or on the last stage logits [len(sample_rows), vocabulary] of those rows.

        Raises UsageError on a token id outside the vocabulary, MessageError on rows that the stage cannot accept. Then
        nothing of the pass counts.
        """
        current = Pass(self._pool, self._pool.place(segments))
        inputs = self._inputs(rows, sum(segment.count for segment in segments))
        inputs["position_ids"] = _positions(segments)
        with choose_kernels(inputs["position_ids"].shape[1], self._pool.keys[0].dtype):
            output = self._forward(current, inputs, sample_rows)
        check_layers(current.layers, len(self.layers))
        self._pool.advance(segments)
        return output

    def _check_context(self, tokens: int) -> None:
        if tokens > blocks_for(self.context_length) * BLOCK_TOKENS:
            raise UsageError("a sequence longer than the model's context", field="max_tokens")

    def _forward(self, current: Pass, inputs: dict[str, torch.Tensor], sample_rows: Sequence[int]) -> torch.Tensor:
        options = {"use_cache": False, "mohawk_pass": current}
        if not self.is_last or not sample_rows:
            hidden: torch.Tensor = self._decoder(**inputs, **options).last_hidden_state[0]
            return hidden if not self.is_last else hidden.new_empty((0, self.vocabulary_size))
        keep = torch.tensor(sample_rows)
        logits: torch.Tensor = self._model(**inputs, **options, logits_to_keep=keep).logits[0]
        if logits.shape != (len(sample_rows), self.vocabulary_size):
            raise UnsupportedModelError("this family's head does not keep to the rows that it is asked for")
        return logits

    def _inputs(self, rows: Sequence[int] | torch.Tensor, count: int) -> dict[str, torch.Tensor]:
        if len(rows) != count:
            raise MessageError("a pass whose rows do not match its segments")
        if not self.is_first:
            return {"inputs_embeds": self._check_activations(rows)[None]}
        if isinstance(rows, torch.Tensor):
            raise MessageError("activations for a stage that takes token ids")
        if min(rows) < 0 or max(rows) >= self.vocabulary_size:
            raise UsageError("a token id outside the model's vocabulary", field="prompt")
        return {"input_ids": torch.tensor([list(rows)])}

    def _check_activations(self, rows: Sequence[int] | torch.Tensor) -> torch.Tensor:
        if not isinstance(rows, torch.Tensor) or rows.shape[1:] != (self.hidden_size,):
            raise MessageError("activations of another shape than this stage's")
        if rows.dtype != self._pool.keys[0].dtype:
            raise MessageError("activations of another type than this stage's")
        if not torch.isfinite(rows).all():
            raise MessageError("activations that are not finite")
        return rows


def _positions(segments: Sequence[Segment]) -> torch.Tensor:
    """[1, rows]: each row's position in its own sequence."""
    positions = [torch.arange(segment.start, segment.start + segment.count) for segment in segments]
    return torch.cat(positions)[None]
