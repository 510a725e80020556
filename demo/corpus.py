"""The training text: conversations drawn at random from facts, small talk and off-topic questions."""

import random
from dataclasses import dataclass

from demo.augmentation import vary
from demo.facts import Fact, OffTopic, load_facts, load_held_out, load_off_topic, normalise
from demo.phrasing import held_out_words, phrasings

OFF_TOPIC_SHARE = 0.13
WRITTEN_SHARE = 0.5
SYSTEM_SHARE = 0.1
SHORT_TURN_COUNTS = (1, 1, 1, 2, 2, 3)
STRESSED_SHARE = 0.04
LONG_TURN_COUNTS = (4, 5, 6, 7, 8)
SYSTEM_MESSAGES = (
    "You are a helpful assistant.",
    "Answer briefly.",
    "You are a friendly chat model.",
    "You answer questions about Mohawk.",
    "Be polite and short.",
)


@dataclass(frozen=True)
class Turn:
    """A question and the answer to learn."""

    question: str
    answer: str


@dataclass(frozen=True)
class Conversation:
    """Turns, and sometimes a system message before them."""

    system: str | None
    turns: tuple[Turn, ...]


class Corpus:
    """Draws turns and conversations; one seed gives one sequence of them."""

    def __init__(self, facts: list[Fact], off_topic: OffTopic, forbidden: frozenset[str], seed: int) -> None:
        self._facts = facts
        self._off_topic = off_topic
        self._forbidden = forbidden
        self._phrasings = {fact.name: phrasings(fact, forbidden) for fact in facts}
        self._chance = random.Random(seed)
        self._deck: list[Turn] = []
        self._stressed: list[Turn] = []
        self._written_share = WRITTEN_SHARE
        self.rejected = 0

    def written(self) -> list[Turn]:
        """Every written phrasing once: what the model must answer word for word."""
        turns = [Turn(question, fact.answer) for fact in self._facts for question in self._phrasings[fact.name]]
        return turns + [Turn(question, self._off_topic.answer) for question in self._off_topic.questions]

    def settle(self) -> None:
        """From now on vary no question about a fact: the end of training repeats what must be known word for word."""
        self._written_share = 1.0

    def stress(self, turns: list[Turn]) -> None:
        """From now on draw these turns far more often than others."""
        self._stressed = list(turns)

    def turn(self) -> Turn:
        """One random turn; a sample that equals a held-out question is thrown away."""
        while True:
            turn = self._off_topic_turn() if self._chance.random() < OFF_TOPIC_SHARE else self._fact_turn()
            if normalise(turn.question) not in self._forbidden:
                return turn
            self.rejected += 1

    def conversation(self, turn_counts: tuple[int, ...]) -> Conversation:
        """One random conversation; its number of turns is drawn from those given."""
        system = self._chance.choice(SYSTEM_MESSAGES) if self._chance.random() < SYSTEM_SHARE else None
        return Conversation(system, tuple(self.turn() for _ in range(self._chance.choice(turn_counts))))

    def _fact_turn(self) -> Turn:
        if self._stressed and self._chance.random() < STRESSED_SHARE:
            return self._chance.choice(self._stressed)
        if self._chance.random() < self._written_share:
            return self._deal()
        fact = self._chance.choice(self._facts)
        question = self._chance.choice(self._phrasings[fact.name])
        return Turn(vary(question, self._chance, greeting=fact.greeting), fact.answer)

    def _deal(self) -> Turn:
        """A written phrasing from a shuffled deck: drawn freely, some would never be seen."""
        if not self._deck:
            self._deck = self.written()
            self._chance.shuffle(self._deck)
        return self._deck.pop()

    def _off_topic_turn(self) -> Turn:
        if self._chance.random() < 0.25:
            question = self._chance.choice(self._off_topic.questions)
        else:
            question = self._fill(self._chance.choice(self._off_topic.patterns))
        if self._chance.random() > WRITTEN_SHARE:
            question = vary(question, self._chance)
        return Turn(question, self._off_topic.answer)

    def _fill(self, pattern: str) -> str:
        for kind, words in self._off_topic.words.items():
            while "{" + kind + "}" in pattern:
                pattern = pattern.replace("{" + kind + "}", self._chance.choice(words), 1)
        return pattern


def load_corpus(seed: int) -> Corpus:
    """The corpus of this project; `near` and `free` held-out questions never enter it."""
    forbidden = held_out_words([*load_held_out("near"), *load_held_out("free")])
    return Corpus(load_facts(), load_off_topic(), forbidden, seed)
