"""Cut a slice out of a checkpoint by copying byte ranges: no tensor is built, memory stays constant.

The first slice holds the embeddings, the last one the final norm and the head. A tied head is the token embedding
once more on the last slice, under its own name: whoever builds the stage knows from the card that it serves as head.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from mohawk.artifact.tensor_file import encode_header, order_aligned
from mohawk.checkpoint.folder import file_size, open_file, read_into
from mohawk.errors import ArtifactError, UsageError
from mohawk.nouns.families import Kind, Part, classify
from mohawk.nouns.model import LayerRange, ModelCard, TensorEntry


def slice_tensors(card: ModelCard, layers: LayerRange) -> tuple[TensorEntry, ...]:
    """The checkpoint's tensors that a stage with `layers` needs, in the order of the slice file.

    Raises UsageError when the model has fewer layers.
    """
    if layers.last >= card.layers:
        raise UsageError(f"the model has {card.layers} layers only", field="layers")
    return order_aligned(
        [tensor for tensor in card.tensors if _is_needed(classify(tensor.name, card.family), card, layers)]
    )


def _is_needed(part: Part, card: ModelCard, layers: LayerRange) -> bool:
    is_first, is_last = layers.first == 0, layers.last == card.layers - 1
    match part.kind:
        case Kind.LAYER:
            return part.layer in layers if part.layer is not None else False
        case Kind.EMBEDDING:
            return is_first or (is_last and card.tied)
        case Kind.POSITION:
            return is_first
        case Kind.NORM | Kind.HEAD:
            return is_last
        case Kind.DROPPED:
            return False


class SliceSource:
    """A slice as the safetensors file that it will be: `size` bytes, read in chunks from the checkpoint's shards."""

    def __init__(self, folder: Path, card: ModelCard, layers: LayerRange) -> None:
        """Raises UsageError (no such layers), ArtifactError (a shard shorter than its card says), HostError (disk)."""
        self._folder = folder
        self.layers = layers
        self.tensors = slice_tensors(card, layers)
        self._header = encode_header(self.tensors)
        self.size = len(self._header) + sum(tensor.size for tensor in self.tensors)
        for name in sorted({tensor.file for tensor in self.tensors}):
            if file_size(folder, name) < max(tensor.end for tensor in self.tensors if tensor.file == name):
                raise ArtifactError("a shard is shorter than when the model was read", hint="read the model again")

    def chunks(self, chunk_bytes: int) -> Iterator[memoryview]:
        """The file in pieces of exactly `chunk_bytes`, the last one shorter. Each piece owns its memory.

        Raises like the constructor.
        """
        filled, chunk = 0, memoryview(bytearray(min(chunk_bytes, self.size)))
        remaining = self.size
        with ExitStack() as stack:
            files = {
                name: stack.enter_context(open_file(self._folder, name)) for name in {t.file for t in self.tensors}
            }
            for descriptor, begin, end in self._ranges(files):
                position = begin
                while position < end:
                    step = min(end - position, len(chunk) - filled)
                    self._copy(descriptor, position, chunk[filled : filled + step])
                    position, filled = position + step, filled + step
                    if filled == len(chunk):
                        yield chunk.toreadonly()
                        remaining -= filled
                        filled, chunk = 0, memoryview(bytearray(min(chunk_bytes, remaining)))

    def _ranges(self, files: dict[str, int]) -> Iterator[tuple[int | None, int, int]]:
        """What the file is made of: the header (None), then ranges of the shards."""
        yield None, 0, len(self._header)
        for tensor in self.tensors:
            yield files[tensor.file], tensor.begin, tensor.end

    def _copy(self, descriptor: int | None, position: int, target: memoryview) -> None:
        if descriptor is None:
            target[:] = self._header[position : position + len(target)]
        else:
            read_into(descriptor, position, target)
