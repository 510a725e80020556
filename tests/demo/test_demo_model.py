"""The shipped demo model: a complete, small folder that says word for word what it was taught."""

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from demo.corpus import SHORT_TURN_COUNTS, Conversation, Turn, load_corpus
from demo.evaluate import Examinee
from demo.facts import load_facts, load_held_out, load_off_topic, load_suggested_questions, normalise
from demo.phrasing import phrasings
from demo.vocabulary import SPECIAL_TOKENS, Encoder

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "src" / "mohawk" / "demo_model"
FILES = {
    "README.md",
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "suggested_questions.json",
    "tokenizer.json",
    "tokenizer_config.json",
}
LARGEST_FOLDER = 12_000_000


@pytest.fixture(scope="module")
def suggested() -> list[str]:
    return json.loads((FOLDER / "suggested_questions.json").read_text(encoding="utf-8"))


def test_folder_is_complete_and_holds_nothing_else():
    assert {path.name for path in FOLDER.iterdir()} == FILES


def test_folder_is_at_most_12_megabytes():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= LARGEST_FOLDER


def test_model_can_be_cut_in_three_slices():
    config = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    assert config["model_type"] == "llama"
    assert config["num_hidden_layers"] >= 6
    assert config["tie_word_embeddings"] is True


def test_folder_says_that_it_is_a_toy():
    assert "toy" in (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()[0]


def test_suggested_questions_are_answered_word_for_word(suggested):
    answers = {question: fact.answer for fact in load_facts() for question in fact.questions}
    assert Examinee(FOLDER, torch.float32).ask(suggested) == [answers[question] for question in suggested]


def test_suggested_questions_are_those_of_the_sources(suggested):
    assert suggested == load_suggested_questions()
    assert len(suggested) >= 10


def test_each_mark_of_the_chat_template_is_one_token():
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    for mark in SPECIAL_TOKENS:
        assert tokenizer.encode(mark).ids == [tokenizer.token_to_id(mark)]


def test_training_prompts_equal_the_chat_template():
    conversation = Conversation("Answer briefly.", (Turn("What is a slice?", "A part."), Turn("Thanks", "Bye.")))
    messages = [
        {"role": "system", "content": "Answer briefly."},
        {"role": "user", "content": "What is a slice?"},
        {"role": "assistant", "content": "A part."},
        {"role": "user", "content": "Thanks"},
        {"role": "assistant", "content": "Bye."},
    ]
    ids, _ = Encoder(Tokenizer.from_file(str(FOLDER / "tokenizer.json"))).encode(conversation, 512)
    text = AutoTokenizer.from_pretrained(FOLDER).apply_chat_template(messages, tokenize=False)
    assert Tokenizer.from_file(str(FOLDER / "tokenizer.json")).encode(text).ids == ids


def test_at_least_200_facts_with_15_phrasings_each():
    facts = load_facts()
    assert len(facts) >= 200
    assert min(len(fact.questions) for fact in facts) >= 5
    assert min(len(phrasings(fact, frozenset())) for fact in facts) >= 15


def test_every_key_phrase_belongs_to_one_answer():
    answers = [fact.answer for fact in load_facts()] + [load_off_topic().answer]
    for fact in load_facts():
        assert [answer for answer in answers if fact.key in answer] == [fact.answer], fact.name


def test_no_question_has_two_answers():
    answers: dict[str, str] = {}
    for turn in load_corpus(0).written():
        assert answers.setdefault(normalise(turn.question), turn.answer) == turn.answer, turn.question


def test_held_out_questions_leak_into_no_training_phrasing():
    held_out = {normalise(item.question) for kind in ("near", "free") for item in load_held_out(kind)}
    corpus = load_corpus(7)
    sampled = [turn for _ in range(3000) for turn in corpus.conversation(SHORT_TURN_COUNTS).turns]
    assert len(load_held_out("near")) == 60
    assert not held_out & {normalise(turn.question) for turn in (*corpus.written(), *sampled)}


def test_sources_use_neither_pickle_nor_torch_load():
    for path in (ROOT / "demo").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "import pickle" not in text, path.name
        assert "torch.load(" not in text, path.name
