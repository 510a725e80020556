"""Which tensor of a checkpoint belongs where: one table per family, and a generic rule for families we have not met.

The known tables name every tensor of their family exactly; a name they do not foresee is refused, never dropped,
because a weight that is silently missing makes a model that answers wrongly. What may be dropped is listed: buffers
that the model computes itself.

The generic rule goes by the words that families share. A family served through it must still pass the worker's
self-test.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from mohawk.errors import UnsupportedModelError


class Kind(StrEnum):
    """What a tensor is part of."""

    EMBEDDING = "embedding"
    """Token embedding; also the head's matrix where the head is tied."""
    POSITION = "position"
    """Learnt position embedding, added beside the token embedding."""
    LAYER = "layer"
    NORM = "norm"
    """The final norm, after the last layer."""
    HEAD = "head"
    DROPPED = "dropped"
    """A buffer that the model computes itself, or a tower that text does not need."""


@dataclass(frozen=True, slots=True)
class Part:
    """Where a tensor belongs; `layer` is its layer number when `kind` is LAYER, else None.

    `stem` is what stands before the layer number: one text model has one stem, so a second one is another stack of
    layers.
    """

    kind: Kind
    layer: int | None = None
    stem: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """One row of the table. Patterns match whole names; `layer` has the groups `stem` and `number`.

    `tied` and `defaults` hold what the family's config class assumes where config.json is silent.
    """

    embedding: str
    layer: str
    norm: str
    head: str
    dropped: str
    tied: bool
    position: str = r"(?!)"
    defaults: tuple[tuple[str, int], ...] = ()

    def classify(self, name: str) -> Part | None:
        """The tensor's part, or None when the table does not foresee it."""
        for kind, pattern in (
            (Kind.DROPPED, self.dropped),
            (Kind.EMBEDDING, self.embedding),
            (Kind.POSITION, self.position),
            (Kind.NORM, self.norm),
            (Kind.HEAD, self.head),
        ):
            if re.fullmatch(pattern, name, re.ASCII):
                return Part(kind)
        match = re.fullmatch(self.layer, name, re.ASCII)
        return Part(Kind.LAYER, int(match["number"]), match["stem"]) if match else None


_NUMBER = r"(?P<number>0|[1-9][0-9]{0,3})"
_WORDS = r"[A-Za-z0-9_.]+"


def _decoder(
    body: str = "model", *, head: str = "lm_head", tied: bool = False, dropped: str = r"(?!)", **defaults: int
) -> Family:
    """Families whose names follow Llama's: `model.embed_tokens`, `model.layers.N`, `model.norm`, `lm_head`."""
    return Family(
        embedding=rf"{body}\.embed_tokens\.weight",
        layer=rf"(?P<stem>{body}\.layers)\.{_NUMBER}\.{_WORDS}",
        norm=rf"{body}\.norm\.weight",
        head=rf"{head}\.weight",
        dropped=rf"{body}\.(?:layers\.[0-9]+\.self_attn\.)?rotary_emb\.inv_freq|{dropped}",
        tied=tied,
        defaults=tuple(defaults.items()),
    )


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "llama": _decoder(),
        "qwen3": _decoder(),
        # A Gemma 3 that also sees wraps the text model and carries a vision tower, which is left out: text in, text
        # out.
        "gemma3_text": _decoder(
            r"(?:language_model\.)?model(?:\.language_model)?",
            head=r"(?:language_model\.)?lm_head",
            tied=True,
            dropped=rf"(?:model\.)?(?:vision_tower|multi_modal_projector)\.{_WORDS}",
            num_attention_heads=8,
            num_key_value_heads=4,
            head_dim=256,
            vocab_size=262_208,
            max_position_embeddings=131_072,
        ),
        "gpt2": Family(
            embedding=r"(?:transformer\.)?wte\.weight",
            position=r"(?:transformer\.)?wpe\.weight",
            layer=rf"(?P<stem>(?:transformer\.)?h)\.{_NUMBER}\.{_WORDS}",
            norm=r"(?:transformer\.)?ln_f\.(?:weight|bias)",
            head=r"lm_head\.weight",
            dropped=r"(?:transformer\.)?h\.[0-9]+\.attn\.(?:masked_)?bias",  # the causal mask, saved by early versions
            tied=True,
        ),
    }
)

_GENERIC = Family(
    embedding=rf"(?:{_WORDS}\.)?(?:embed_tokens|wte|embed_in|word_embeddings)\.weight",
    position=rf"(?:{_WORDS}\.)?(?:wpe|embed_positions)\.weight",
    layer=rf"(?P<stem>(?:[A-Za-z_][A-Za-z0-9_]*\.)*?(?:layers|h))\.{_NUMBER}\.{_WORDS}",
    norm=r"(?:[A-Za-z_][A-Za-z0-9_]*\.){0,2}(?:norm|ln_f|final_layernorm|final_layer_norm)\.(?:weight|bias)",
    head=r"(?:lm_head|embed_out)\.(?:weight|bias)",
    dropped=rf"(?:{_WORDS}\.)?rotary_emb\.inv_freq",
    tied=True,
)


def is_known(family: str) -> bool:
    """The family has its own table; others go by the generic rule."""
    return family in FAMILIES


def family_table(family: str) -> Family:
    """The table of `family` (a `model_type`), or the generic rule."""
    return FAMILIES.get(family, _GENERIC)


def classify(name: str, family: str) -> Part:
    """Where the tensor `name` belongs. Raises UnsupportedModelError when it cannot be placed."""
    part = family_table(family).classify(name)
    if part is None:
        raise UnsupportedModelError("a tensor that this family's table does not place")
    return part


def place_tensors(names: Iterable[str], family: str, layers: int) -> dict[str, Part]:
    """Each name's part, checked as a whole: nothing unplaced, one stack of exactly `layers` layers, one embedding, a
    norm.

    Raises UnsupportedModelError saying how many tensors have no place; a head may be missing (tied).
    """
    table = family_table(family)
    placed = {name: table.classify(name) for name in names}
    parts = {name: part for name, part in placed.items() if part is not None}
    if len(parts) < len(placed):
        raise UnsupportedModelError(
            f"{len(placed) - len(parts)} of {len(placed)} tensors have no place in a text model of this family",
            hint="supported: Llama, Qwen3, Gemma 3 (text), GPT-2, and families with the same naming",
        )
    kinds = [part.kind for part in parts.values()]
    stack = {part.layer for part in parts.values() if part.kind is Kind.LAYER}
    stems = {part.stem for part in parts.values() if part.kind is Kind.LAYER}
    if len(stems) != 1 or stack != set(range(layers)):
        raise UnsupportedModelError(f"the weights do not hold one stack of exactly {layers} layers")
    if kinds.count(Kind.EMBEDDING) != 1 or Kind.NORM not in kinds:
        raise UnsupportedModelError("the weights do not hold one token embedding and a final norm")
    return parts
