"""Every number of the training run, in one frozen place."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """The shape of the model and how it is trained; the same recipe gives the same model."""

    seed: int = 20
    """Seeds the corpus and the first weights."""
    vocabulary: int = 2048
    """Entries of the byte-level BPE vocabulary, special tokens and all 256 bytes included."""
    vocabulary_samples: int = 8000
    """Random turns from which the vocabulary is learnt."""
    hidden: int = 256
    layers: int = 6
    heads: int = 8
    kv_heads: int = 4
    feed_forward: int = 704
    context: int = 1024
    """Positions the model declares; training fills at most `long_length` of them."""
    rows: int = 4
    row_length: int = 256
    """Short rows hold conversations of one to three turns."""
    long_rows: int = 2
    long_length: int = 512
    """Long rows hold conversations of four to eight turns; attention makes them dear."""
    long_every: int = 6
    """Every so many steps the batch is one of long rows."""
    steps: int = 2400
    """A fixed count, so that a slow machine trains the same model as a fast one."""
    settle_share: float = 0.35
    """The last part of the steps shows questions only as they are written."""
    learning_rate: float = 2e-3
    last_rate_share: float = 0.01
    warm_up: int = 100
    correction_rounds: int = 4
    """At most so often the written questions are asked and what was missed is trained again."""
    correction_steps: int = 400
    """About one pass over everything written: fewer steps mend what was missed and break something else."""
    correction_rate: float = 1e-4
    """Slow: with little left to learn, AdamW turns noise into full steps, and a faster rate forgets other answers."""
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float = 1.0
    threads: int = 1
    """Fixed, because another number of threads adds in another order; one waits for no other."""


RECIPE = Recipe()
