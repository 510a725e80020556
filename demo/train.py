"""Trains the demo model from nothing and writes its folder: `python -m demo.train`."""

import argparse
import hashlib
import json
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from demo.corpus import LONG_TURN_COUNTS, SHORT_TURN_COUNTS, Corpus, load_corpus
from demo.export import export
from demo.packing import Batch, Packer
from demo.recipe import RECIPE, Recipe
from demo.vocabulary import BEGIN, END, IGNORED, PAD, Encoder, train_vocabulary

ROOT = Path(__file__).resolve().parent.parent
MODEL_FOLDER = ROOT / "src" / "mohawk" / "demo_model"
RECORD = ROOT / "demo" / "training.json"
REPORT_EVERY = 50


def build_model(recipe: Recipe, tokenizer: Tokenizer) -> LlamaForCausalLM:
    """A Llama-shaped model with fresh weights; what feeds the residual stream starts smaller."""
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=recipe.hidden,
        intermediate_size=recipe.feed_forward,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.kv_heads,
        head_dim=recipe.hidden // recipe.heads,
        max_position_embeddings=recipe.context,
        tie_word_embeddings=True,
        rms_norm_eps=1e-5,
        bos_token_id=tokenizer.token_to_id(BEGIN),
        eos_token_id=tokenizer.token_to_id(END),
        pad_token_id=tokenizer.token_to_id(PAD),
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                weight.mul_(1 / math.sqrt(2 * recipe.layers))
    return model


def build_optimizer(recipe: Recipe, model: LlamaForCausalLM) -> torch.optim.AdamW:
    """AdamW that lets norm weights alone when it decays."""
    matrices = [weight for weight in model.parameters() if weight.dim() > 1]
    vectors = [weight for weight in model.parameters() if weight.dim() < 2]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas, fused=True)


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, then linear decay to a small rest."""
    warm = min(1.0, (step + 1) / recipe.warm_up)
    decay = 1 - (1 - recipe.last_rate_share) * step / recipe.steps
    return recipe.learning_rate * warm * decay


def loss_of(model: LlamaForCausalLM, batch: Batch) -> torch.Tensor:
    """Cross-entropy on answer tokens; the head runs only where one is predicted."""
    with torch.autocast("cpu", torch.bfloat16):
        states = model.model(
            input_ids=batch.ids,
            position_ids=batch.positions,
            attention_mask=batch.mask(torch.bfloat16),
            use_cache=False,
        ).last_hidden_state
        wanted = batch.labels[:, 1:]
        counted = wanted != IGNORED
        scores = model.lm_head(states[:, :-1][counted])
    return functional.cross_entropy(scores.float(), wanted[counted])


def batches(recipe: Recipe, corpus: Corpus, encoder: Encoder) -> Iterator[Batch]:
    """One batch per step; every few steps one of long conversations."""
    short = Packer(corpus, encoder, rows=recipe.rows, length=recipe.row_length, turn_counts=SHORT_TURN_COUNTS)
    long = Packer(corpus, encoder, rows=recipe.long_rows, length=recipe.long_length, turn_counts=LONG_TURN_COUNTS)
    for step in range(recipe.steps):
        if step == round(recipe.steps * (1 - recipe.settle_share)):
            corpus.settle()
        yield (long if step % recipe.long_every == recipe.long_every - 1 else short).batch()


def train(recipe: Recipe, model: LlamaForCausalLM, supply: Iterable[Batch]) -> float:
    """Run the fixed number of steps; returns the smoothed loss of the last ones."""
    optimizer = build_optimizer(recipe, model)
    model.train()
    smooth, begun = 0.0, time.monotonic()
    for step, batch in enumerate(supply):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step)
        loss = loss_of(model, batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        smooth = loss.item() if step == 0 else 0.95 * smooth + 0.05 * loss.item()
        if (step + 1) % REPORT_EVERY == 0:
            print(
                f"step {step + 1}/{recipe.steps}  loss {smooth:.4f}  {time.monotonic() - begun:.0f} s",
                flush=True,
            )
    return smooth


def make_repeatable(recipe: Recipe) -> None:
    """Seed everything and forbid operations whose result depends on timing."""
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False


def write_record(path: Path, recipe: Recipe, figures: dict[str, float | int | str]) -> None:
    """Keep what this run was and what it cost."""
    path.write_text(json.dumps({**figures, "recipe": asdict(recipe)}, indent=2) + "\n", encoding="utf-8")


def run(recipe: Recipe, folder: Path, record: Path) -> None:
    """Vocabulary, model, training, export, record."""
    begun = time.monotonic()
    make_repeatable(recipe)
    corpus = load_corpus(recipe.seed)
    tokenizer = train_vocabulary(corpus, recipe.vocabulary, recipe.vocabulary_samples)
    model = build_model(recipe, tokenizer)
    loss = train(recipe, model, batches(recipe, corpus, Encoder(tokenizer)))
    export(model, tokenizer, folder)
    figures: dict[str, float | int | str] = {
        "seconds": round(time.monotonic() - begun),
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "last_loss": round(loss, 5),
        "rejected_as_held_out": corpus.rejected,
        "weights_sha256": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
    }
    write_record(record, recipe, figures)
    print(json.dumps(figures, indent=2))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=MODEL_FOLDER, help="where the model is written")
    parser.add_argument("--record", type=Path, default=RECORD, help="where the figures of the run are written")
    parser.add_argument("--steps", type=int, default=RECIPE.steps, help="fewer steps, for a trial")
    chosen = parser.parse_args()
    run(replace(RECIPE, steps=chosen.steps), chosen.folder, chosen.record)


if __name__ == "__main__":
    main()
