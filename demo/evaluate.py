"""Asks the trained model everything and judges the answers: `python -m demo.evaluate`.

Prints the figures, writes `demo/results.json` and exits with 1 when one is below what is promised.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from demo.corpus import Turn, load_corpus
from demo.facts import HeldOutQuestion, load_facts, load_held_out, load_suggested_questions
from demo.recipe import RECIPE
from demo.train import MODEL_FOLDER, RECORD, ROOT

RESULTS = ROOT / "demo" / "results.json"
LARGEST_FOLDER = 12_000_000
NEAR_SHARE = 0.75
BATCH_SIZE = 128
LONGEST_ANSWER = 64
OTHER_PRECISIONS = {"bfloat16": torch.bfloat16, "float16": torch.float16}
HISTORY_TURNS = 7
HISTORIES = 40


@dataclass(frozen=True)
class Verdict:
    """What was measured, and whether it is enough."""

    name: str
    right: int
    of: int
    needed: float | None
    """The share that must be right; None where the figure is only reported."""

    @property
    def is_enough(self) -> bool:
        """True where the share reaches what is needed."""
        return self.needed is None or self.right >= self.needed * self.of

    def describe(self) -> str:
        """One line for a reader."""
        wanted = "reported only" if self.needed is None else f"needed {self.needed:.0%}"
        return f"{self.name:<44} {self.right:>5} of {self.of:<5} {self.right / self.of:7.1%}  ({wanted})"


class Examinee:
    """The model in one precision, asked greedily with plain transformers."""

    def __init__(self, folder: Path, precision: torch.dtype) -> None:
        self._tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
        self._model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, dtype=precision).eval()

    def ask(self, questions: list[str]) -> list[str]:
        """The answers to single questions."""
        return self.converse([[{"role": "user", "content": question}] for question in questions])

    def converse(self, conversations: list[list[dict[str, str]]]) -> list[str]:
        """The next answer in each conversation; only prompts of equal length share a batch, so none is padded."""
        prompts = [self._prompt(messages) for messages in conversations]
        order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
        answers = [""] * len(prompts)
        for places in _equal_runs(order, prompts):
            for place, answer in zip(places, self._complete([prompts[place] for place in places]), strict=True):
                answers[place] = answer
        return answers

    def _prompt(self, messages: list[dict[str, str]]) -> list[int]:
        text = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return self._tokenizer.encode(text, add_special_tokens=False)

    @torch.inference_mode()
    def _complete(self, prompts: list[list[int]]) -> list[str]:
        ids = torch.tensor(prompts)
        output = self._model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=LONGEST_ANSWER, do_sample=False
        )
        return self._tokenizer.batch_decode(output[:, ids.shape[1] :], skip_special_tokens=True)


def _equal_runs(order: list[int], prompts: list[list[int]]) -> list[list[int]]:
    """Cut an order by length into batches of equal length."""
    runs: list[list[int]] = []
    for place in order:
        fits = runs and len(runs[-1]) < BATCH_SIZE and len(prompts[runs[-1][0]]) == len(prompts[place])
        if fits:
            runs[-1].append(place)
        else:
            runs.append([place])
    return runs


def judge_written(turns: list[Turn], answers: dict[str, str]) -> Verdict:
    """Count word-for-word answers to what was trained."""
    missed = [turn for turn in turns if answers[turn.question] != turn.answer]
    for turn in missed[:20]:
        print(f"  not verbatim: {turn.question!r} -> {answers[turn.question]!r}")
    return Verdict("trained questions answered verbatim", len(turns) - len(missed), len(turns), 1.0)


def judge_held_out(name: str, items: list[HeldOutQuestion], answers: dict[str, str], needed: float | None) -> Verdict:
    """Count answers that contain the key phrase of the fact that was asked for."""
    keys = {fact.name: fact.key for fact in load_facts()}
    missed = [item for item in items if keys[item.fact] not in answers[item.question]]
    for item in missed:
        print(f"  missed {item.fact}: {item.question!r} -> {answers[item.question]!r}")
    return Verdict(name, len(items) - len(missed), len(items), needed)


def judge_precisions(folder: Path, name: str, expected: dict[str, str], needed: float | None) -> list[Verdict]:
    """Count questions that get the same answer in the other precisions as in float32."""
    verdicts = []
    for kind, precision in OTHER_PRECISIONS.items():
        answers = Examinee(folder, precision).ask(list(expected))
        equal = sum(a == b for a, b in zip(expected.values(), answers, strict=True))
        verdicts.append(Verdict(f"{kind} equals float32, {name}", equal, len(expected), needed))
    return verdicts


def judge_histories(examinee: Examinee) -> Verdict:
    """Ask the last question of long conversations whose earlier answers are all right."""
    turns = load_corpus(RECIPE.seed + 1).written()
    picked = [turns[(place * 97) % len(turns)] for place in range(HISTORIES * (HISTORY_TURNS + 1))]
    groups = [picked[at : at + HISTORY_TURNS + 1] for at in range(0, len(picked), HISTORY_TURNS + 1)]
    conversations = [[message for turn in group for message in _messages(turn)][:-1] for group in groups]
    answers = examinee.converse(conversations)
    right = sum(answer == group[-1].answer for answer, group in zip(answers, groups, strict=True))
    return Verdict("eighth question of a conversation, verbatim", right, len(groups), None)


def _messages(turn: Turn) -> tuple[dict[str, str], dict[str, str]]:
    return {"role": "user", "content": turn.question}, {"role": "assistant", "content": turn.answer}


def judge(folder: Path) -> list[Verdict]:
    """Every verdict on one folder; other precisions are asked what was written by hand."""
    turns, near, free = load_corpus(RECIPE.seed).written(), load_held_out("near"), load_held_out("free")
    questions = [turn.question for turn in turns] + [item.question for item in (*near, *free)]
    examinee = Examinee(folder, torch.float32)
    answers = dict(zip(questions, examinee.ask(questions), strict=True))
    hand = {question for fact in load_facts() for question in fact.questions}
    by_hand = {question: answer for question, answer in answers.items() if question in hand}
    held_out = {item.question: answers[item.question] for item in (*near, *free)}
    return [
        judge_written(turns, answers),
        judge_held_out("near paraphrases, right key phrase", near, answers, NEAR_SHARE),
        judge_held_out("free wordings, right key phrase", free, answers, None),
        judge_histories(examinee),
        *judge_precisions(folder, "questions by hand", by_hand, 1.0),
        *judge_precisions(folder, "held-out questions", held_out, None),
    ]


def folder_size(folder: Path) -> int:
    """Bytes of all files of the folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def write_results(folder: Path, verdicts: list[Verdict], seconds: float) -> None:
    """Keep the figures beside what training recorded."""
    figures = {
        "verdicts": {verdict.name: {"right": verdict.right, "of": verdict.of} for verdict in verdicts},
        "suggested_questions": len(load_suggested_questions()),
        "folder_bytes": folder_size(folder),
        "evaluation_seconds": round(seconds),
        "training": json.loads(RECORD.read_text(encoding="utf-8")),
    }
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def main() -> int:
    """Judge the folder; 0 when everything is enough."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=MODEL_FOLDER, help="the model to judge")
    folder = parser.parse_args().folder
    begun = time.monotonic()
    verdicts = judge(folder)
    write_results(folder, verdicts, time.monotonic() - begun)
    for verdict in verdicts:
        print(verdict.describe())
    small = folder_size(folder) <= LARGEST_FOLDER
    print(f"{'folder size':<44} {folder_size(folder):,} bytes of at most {LARGEST_FOLDER:,}")
    return 0 if small and all(verdict.is_enough for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
