"""The facts that the demo model learns: one answer, a key phrase and written phrasings each.

The data lies in the TOML files beside this module, one table per fact:

    answer      the only answer, one or two sentences
    key         the phrase that an answer must contain to be right; no other answer contains it
    questions   phrasings written by hand
    what, what_are, value, why, how, how_it, whether
                nouns, clauses or verbs that `demo.phrasing` puts into sentence forms
    greeting    true for small talk
"""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

FACTS_FOLDER = Path(__file__).parent
QUESTIONS_FOLDER = FACTS_FOLDER.parent / "questions"
PLAIN_FIELDS = frozenset({"answer", "key", "questions", "greeting"})


@dataclass(frozen=True)
class Fact:
    """One thing the demo model knows."""

    name: str
    answer: str
    key: str
    questions: tuple[str, ...]
    greeting: bool = False
    forms: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class HeldOutQuestion:
    """A phrasing that training never sees, and the fact it asks for."""

    fact: str
    question: str


@dataclass(frozen=True)
class OffTopic:
    """Questions about anything else, and the one answer to all of them."""

    answer: str
    key: str
    patterns: tuple[str, ...]
    questions: tuple[str, ...]
    words: dict[str, tuple[str, ...]]


def normalise(text: str) -> str:
    """Reduce a question to its words, so that case, punctuation and spacing do not hide a repetition."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def _read(path: Path) -> dict:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _build_fact(name: str, table: dict) -> Fact:
    forms = {kind: tuple(items) for kind, items in table.items() if kind not in PLAIN_FIELDS}
    return Fact(name, table["answer"], table["key"], tuple(table["questions"]), table.get("greeting", False), forms)


def load_facts() -> list[Fact]:
    """Read every fact, in the order of the file names and of the tables in them."""
    tables = [item for path in sorted(FACTS_FOLDER.glob("*.toml")) for item in _read(path).items()]
    facts = [_build_fact(name, table) for name, table in tables]
    if len({fact.name for fact in facts}) != len(facts):
        raise ValueError("two facts have the same name")
    return facts


def load_held_out(kind: str = "near") -> list[HeldOutQuestion]:
    """Read the held-out phrasings: `near` paraphrases or `free` wordings."""
    rows = _read(QUESTIONS_FOLDER / "held_out.toml")[kind]
    return [HeldOutQuestion(fact, question) for fact, question in rows]


def load_off_topic() -> OffTopic:
    """Read the questions that the demo model must decline."""
    table = _read(QUESTIONS_FOLDER / "off_topic.toml")
    words = {kind: tuple(items) for kind, items in table["words"].items()}
    return OffTopic(table["answer"], table["key"], tuple(table["patterns"]), tuple(table["questions"]), words)


def load_suggested_questions() -> list[str]:
    """Read the questions that are shown beside the demo."""
    return _read(QUESTIONS_FOLDER / "suggested.toml")["questions"]
