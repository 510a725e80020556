"""Random variation of a question: synonyms, dropped function words, case, punctuation, typing errors.

The model has seen no other text, so whatever it should tolerate must be shown to it here.
"""

import random
import re

from demo.phrasing import WRAPPERS, wrap

SYNONYMS: tuple[tuple[str, ...], ...] = (
    ("which", "what"),
    ("what is", "what's", "whats"),
    ("how do i", "how can i", "how to", "how would i", "how should i"),
    ("can i", "may i", "could i", "is it possible to"),
    ("does mohawk", "do you", "will mohawk", "does the engine"),
    ("can mohawk", "can you", "is mohawk able to"),
    ("tell me", "explain to me", "please tell me", "let me know"),
    ("explain", "describe"),
    ("how large", "how big"),
    ("large", "big", "huge"),
    ("create", "make", "generate"),
    ("start", "launch", "run", "begin"),
    ("starts", "launches", "runs"),
    ("kind", "type", "sort"),
    ("job", "task", "role", "duty"),
    ("purpose", "point", "use"),
    ("needed", "required", "necessary"),
    ("allowed", "permitted", "accepted", "possible"),
    ("supported", "accepted", "allowed"),
    ("computer", "machine", "host", "server"),
    ("machines", "computers", "hosts", "servers"),
    ("crash", "die", "fail", "break"),
    ("crashes", "dies", "fails", "goes down"),
    ("detected", "noticed", "found", "discovered"),
    ("notice", "detect", "see"),
    ("kept", "stored", "held", "saved"),
    ("checked", "verified", "tested"),
    ("check", "verify", "test"),
    ("cut", "split", "divided"),
    ("encrypted", "protected"),
    ("turn off", "switch off", "disable", "deactivate"),
    ("certificate", "cert"),
    ("certificates", "certs"),
    ("command", "subcommand"),
    ("banned", "forbidden", "not allowed"),
    ("several", "multiple", "many"),
    ("dangerous", "unsafe", "risky"),
    ("safe", "secure"),
    ("reveal", "leak", "give away"),
    ("stolen", "taken"),
    ("answers", "replies", "responses"),
    ("request", "query"),
    ("called", "named"),
    ("contain", "hold", "include"),
    ("used for", "good for", "there for", "needed for"),
    ("use", "employ", "rely on"),
    ("often", "frequently"),
    ("how long", "how much time"),
    ("how many", "what number of"),
    ("mean", "stand for", "signify"),
    ("happens", "occurs", "is going on"),
    ("list", "name", "enumerate"),
    ("talk to", "speak with", "chat with"),
    ("why does", "why would", "how come"),
)
GROUP_OF = {word: group for group in SYNONYMS for word in group}
SYNONYM_PATTERN = re.compile(
    r"\b(" + "|".join(re.escape(word) for word in sorted(GROUP_OF, key=lambda item: (-len(item), item))) + r")\b",
    re.IGNORECASE,
)
FUNCTION_WORDS = frozenset(
    re.findall(r"\w+", "a an the is are do does did of to in for on at it that me i you be will would can")
)
OPENINGS = ("so", "well", "ok", "hey", "please", "and", "but", "also", "hi,", "say,", "hmm,", "now")
ENDINGS = (
    "please",
    "exactly",
    "in Mohawk",
    "here",
    "in short",
    "then",
    "actually",
    "thanks",
    "for me",
    "again",
    "anyway",
)


def replace_synonyms(question: str, chance: random.Random, rate: float = 0.35) -> str:
    """Swap some words for words that mean the same here."""

    def swap(match: re.Match[str]) -> str:
        word = match.group(0)
        if chance.random() > rate:
            return word
        other = chance.choice(GROUP_OF[word.lower()])
        return other.capitalize() if word[0].isupper() else other

    return SYNONYM_PATTERN.sub(swap, question)


def drop_words(question: str, chance: random.Random) -> str:
    """Leave out function words, as people do when they type in a hurry."""
    words = question.split()
    kept = [word for word in words if word.lower() not in FUNCTION_WORDS or chance.random() > 0.5]
    return " ".join(kept) if len(kept) >= 2 else question


def add_filler(question: str, chance: random.Random) -> str:
    """Add a word before or after the question that changes nothing."""
    if chance.random() < 0.5:
        return f"{chance.choice(OPENINGS)} {question[0].lower()}{question[1:]}"
    mark = question[-1] if question[-1] in "?.!" else ""
    return f"{question.rstrip('?.!')} {chance.choice(ENDINGS)}{mark}"


def mistype(question: str, chance: random.Random) -> str:
    """Swap, lose or double one letter of one longer word."""
    words = question.split()
    places = [place for place, word in enumerate(words) if len(word) > 5 and word.isalpha()]
    if not places:
        return question
    place = chance.choice(places)
    word, at = words[place], chance.randrange(1, len(words[place]) - 2)
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    words[place] = chance.choice((swapped, word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:]))
    return " ".join(words)


def _restyle(question: str, chance: random.Random) -> str:
    if chance.random() < 0.35:
        question = question.lower()
    if chance.random() < 0.4:
        question = question.rstrip("?.!") or question
    return question


def vary(question: str, chance: random.Random, *, greeting: bool = False) -> str:
    """One random variant of a question; small talk only changes its case and punctuation."""
    if not greeting:
        steps = ((0.6, replace_synonyms), (0.2, drop_words), (0.15, add_filler), (0.1, mistype))
        for rate, step in steps:
            if chance.random() < rate:
                question = step(question, chance)
        if chance.random() < 0.1:
            question = wrap(question, chance.choice(WRAPPERS))
    return _restyle(question, chance)
