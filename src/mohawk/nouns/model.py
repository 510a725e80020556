"""The vocabulary of a model in slices. Every noun is frozen and valid by construction; what can be derived is not
stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mohawk.errors import ArtifactError, UsageError
from mohawk.ids import parse_slice_id, slice_id
from mohawk.nouns.sampling import (
    MAXIMUM_ENDS,
    MAXIMUM_GRAMMAR,
    MAXIMUM_LOGIT_BIAS,
    MAXIMUM_LOGIT_BIASES,
    MAXIMUM_TOP_LOGPROBS,
    Grammar,
    LogitBias,
)

MAXIMUM_LAYERS = 4096
"""No published model comes near; a config that claims 10^9 layers is refused before anything is allocated."""


BLOCK_TOKENS = 16
"""Room for keys and values is counted in blocks of so many tokens, on the controller and on every stage alike."""


def blocks_for(tokens: int) -> int:
    """Blocks that `tokens` tokens occupy."""
    return -(-tokens // BLOCK_TOKENS)


class DataType(StrEnum):
    """Element types a checkpoint may hold, by their safetensors names."""

    FLOAT32 = "F32"
    FLOAT16 = "F16"
    BFLOAT16 = "BF16"

    @property
    def size(self) -> int:
        """Bytes per element."""
        return 4 if self is DataType.FLOAT32 else 2


@dataclass(frozen=True, slots=True, order=True)
class LayerRange:
    """Layers `first` to `last`, both inclusive, counted from 0."""

    first: int
    last: int

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.last < MAXIMUM_LAYERS:
            raise ArtifactError("a layer range out of order or out of bounds")

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __contains__(self, layer: int) -> bool:
        return self.first <= layer <= self.last

    @property
    def slice_id(self) -> str:
        return slice_id(self.first, self.last)

    @classmethod
    def parse(cls, text: str) -> LayerRange:
        """`slice_0_7` -> LayerRange(0, 7). Raises RemoteError."""
        return cls(*parse_slice_id(text))


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """Where one tensor lies: `file` is a plain name inside the checkpoint folder, `begin` and `end` are offsets in that
    file.
    """

    name: str
    dtype: DataType
    shape: tuple[int, ...]
    file: str
    begin: int
    end: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What the planner and the controller need to know of a model; read from headers, without torch.

    `revision` is the SHA-256 (hex) over the checkpoint's files, so equal content has equal revision.
    """

    model_id: str
    revision: str
    family: str
    """`model_type` of the text model's config, for example `llama`."""
    layers: int
    hidden_size: int
    kv_heads: int
    head_dim: int
    vocabulary_size: int
    context_length: int
    dtype: DataType
    tied: bool
    """The head shares the embedding's tensor."""
    end_of_sequence: tuple[int, ...]
    tensors: tuple[TensorEntry, ...]

    @property
    def weight_bytes(self) -> int:
        return sum(tensor.size for tensor in self.tensors)


def check_partition(ranges: tuple[LayerRange, ...], layers: int) -> None:
    """The ranges, in order, hold each of `layers` layers exactly once; else ArtifactError (attack S08)."""
    expected = 0
    for part in ranges:
        if part.first != expected:
            raise ArtifactError("slices overlap or leave a layer out")
        expected = part.last + 1
    if expected != layers:
        raise ArtifactError("slices do not end with the model's last layer")


@dataclass(frozen=True, slots=True)
class SamplingParameters:
    """How the last stage picks a token. Neutral values change nothing; `temperature` 0 is greedy.

    Bounds are those of the OpenAI API where it has them. Raises UsageError naming the field.
    """

    temperature: float = 1.0
    top_k: int = 0
    """0: off."""
    top_p: float = 1.0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0
    logit_bias: tuple[LogitBias, ...] = ()
    """Each token at most once; ids may still lie outside a model's vocabulary."""
    logprobs: bool = False
    top_logprobs: int = 0
    """Alternatives to tell beside each token's own logprob; none without `logprobs`."""
    grammar: Grammar | None = None

    def __post_init__(self) -> None:
        for field, low, high in _BOUNDS:
            value = getattr(self, field)
            if not low <= value <= high:  # NaN compares false, so it is refused here too
                raise UsageError(f"{field} must lie between {low} and {high}", field=field)
        if self.top_logprobs and not self.logprobs:
            raise UsageError("top_logprobs needs logprobs", field="top_logprobs")
        self._check_logit_bias()
        if self.grammar is not None and not (
            0 < len(self.grammar.text.encode("utf-8")) <= MAXIMUM_GRAMMAR and 0 < len(self.grammar.ends) <= MAXIMUM_ENDS
        ):
            raise UsageError(f"a schema may have at most {MAXIMUM_GRAMMAR} bytes", field="response_format")

    def _check_logit_bias(self) -> None:
        if not self.logit_bias:
            return
        tokens = {entry.token for entry in self.logit_bias}
        if len(self.logit_bias) > MAXIMUM_LOGIT_BIASES or len(tokens) < len(self.logit_bias) or min(tokens) < 0:
            message = f"logit_bias takes at most {MAXIMUM_LOGIT_BIASES} token ids, each once"
            raise UsageError(message, field="logit_bias")
        if not all(-MAXIMUM_LOGIT_BIAS <= entry.bias <= MAXIMUM_LOGIT_BIAS for entry in self.logit_bias):
            message = f"a logit_bias must lie between {-MAXIMUM_LOGIT_BIAS:g} and {MAXIMUM_LOGIT_BIAS:g}"
            raise UsageError(message, field="logit_bias")

    @property
    def is_greedy(self) -> bool:
        return self.temperature == 0.0


_BOUNDS: tuple[tuple[str, float, float], ...] = (
    ("temperature", 0.0, 2.0),
    ("top_k", 0, 1 << 20),
    ("top_p", 0.0, 1.0),
    ("min_p", 0.0, 1.0),
    ("presence_penalty", -2.0, 2.0),
    ("frequency_penalty", -2.0, 2.0),
    ("repetition_penalty", 0.01, 10.0),
    ("seed", 0, (1 << 63) - 1),
    ("top_logprobs", 0, MAXIMUM_TOP_LOGPROBS),
)
