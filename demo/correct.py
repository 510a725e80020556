"""Trains again what the model still gets wrong: `python -m demo.correct`, after `demo.train`.

Each round asks every written question, as evaluation does, and trains a few slow steps in which the missed ones come
often among all others. It starts from the stored bfloat16 weights, so what counts is what is shipped.
"""

import argparse
import hashlib
import json
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from demo.corpus import Turn, load_corpus
from demo.evaluate import Examinee
from demo.export import save_model
from demo.recipe import RECIPE, Recipe
from demo.train import MODEL_FOLDER, RECORD, batches, make_repeatable, train
from demo.vocabulary import Encoder


def find_missed(folder: Path, seed: int) -> list[Turn]:
    """The written turns that are not answered word for word."""
    turns = load_corpus(seed).written()
    answers = Examinee(folder, torch.float32).ask([turn.question for turn in turns])
    return [turn for turn, answer in zip(turns, answers, strict=True) if answer != turn.answer]


def train_missed(recipe: Recipe, folder: Path, missed: list[Turn], seed: int) -> None:
    """A few slow steps on all facts, with the missed turns in front, and the weights written back."""
    slow = replace(
        recipe,
        steps=recipe.correction_steps,
        learning_rate=recipe.correction_rate,
        warm_up=recipe.correction_steps // 6,
        settle_share=1.0,
    )
    corpus = load_corpus(seed)
    corpus.stress(missed)
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    encoder = Encoder(Tokenizer.from_file(str(folder / "tokenizer.json")))
    train(slow, model, batches(slow, corpus, encoder))
    save_model(model, folder)


def correct(recipe: Recipe, folder: Path) -> list[int]:
    """Rounds until nothing is missed; returns how many questions each round found."""
    found = []
    for number in range(recipe.correction_rounds):
        missed = find_missed(folder, recipe.seed)
        found.append(len(missed))
        print(f"round {number + 1} missed {[turn.question for turn in missed]}", flush=True)
        if not missed:
            break
        train_missed(recipe, folder, missed, recipe.seed + 1 + number)
    return found


def main() -> None:
    """Correct the folder and add to the record of its training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=MODEL_FOLDER, help="the model to correct")
    parser.add_argument("--record", type=Path, default=RECORD, help="the record that training wrote")
    chosen = parser.parse_args()
    begun = time.monotonic()
    make_repeatable(RECIPE)
    found = correct(RECIPE, chosen.folder)
    record = json.loads(chosen.record.read_text(encoding="utf-8"))
    record["recipe"] = asdict(RECIPE)
    record["correction"] = {
        "missed_per_round": found,
        "seconds": round(time.monotonic() - begun),
        "weights_sha256": hashlib.sha256((chosen.folder / "model.safetensors").read_bytes()).hexdigest(),
    }
    chosen.record.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
