"""Written phrasings: what is written by hand, multiplied by sentence forms.

Everything here is deterministic. `phrasings` gives the questions that the model must answer word for word.
"""

from collections.abc import Iterable

from demo.facts import Fact, HeldOutQuestion, normalise

FORMS: dict[str, tuple[str, ...]] = {
    "what": (
        "What is {}?",
        "What's {}?",
        "Tell me about {}.",
        "Tell me what {} is.",
        "Can you explain what {} is?",
        "Explain {}.",
        "Can you explain {} to me?",
        "Describe {}.",
        "What do you know about {}?",
        "I would like to know what {} is.",
        "What is meant by {}?",
        "What is the meaning of {}?",
        "Do you know what {} is?",
    ),
    "what_are": (
        "What are {}?",
        "Tell me about {}.",
        "Tell me what {} are.",
        "Can you explain what {} are?",
        "Explain {}.",
        "Can you explain {} to me?",
        "Describe {}.",
        "What do you know about {}?",
        "I would like to know what {} are.",
        "Do you know what {} are?",
    ),
    "value": (
        "Tell me {}.",
        "Do you know {}?",
        "Can you tell me {}?",
        "I would like to know {}.",
        "Please explain {}.",
        "Say {}.",
        "I need to know {}.",
        "Could you remind me {}?",
    ),
    "why": (
        "Tell me why {}.",
        "Explain why {}.",
        "Why is it that {}?",
        "What is the reason that {}?",
        "How come {}?",
        "Do you know why {}?",
        "I wonder why {}.",
        "Can you explain why {}?",
    ),
    "how": (
        "How do I {}?",
        "How can I {}?",
        "How to {}?",
        "Show me how to {}.",
        "Tell me how to {}.",
        "I want to {}.",
        "What must I do to {}?",
        "What is the way to {}?",
        "Is there a way to {}?",
    ),
    "how_it": (
        "Explain how {}.",
        "Tell me how {}.",
        "Describe how {}.",
        "Do you know how {}?",
        "How is it that {}?",
        "I would like to know how {}.",
        "Can you explain how {}?",
    ),
    "whether": (
        "Is it true that {}?",
        "Tell me whether {}.",
        "Do you know if {}?",
        "I would like to know if {}.",
        "Can you say whether {}?",
        "I wonder if {}.",
        "Is it the case that {}?",
    ),
}

WRAPPERS = (
    "Please tell me: {}",
    "I have a question: {}",
    "Quick question: {}",
    "Hello, {}",
    "{} Please explain.",
    "Can you help me? {}",
    "One more thing: {}",
    "I am new here. {}",
    "{} I would like to know.",
    "Ok, and {}",
    "Now tell me, {}",
)
WRAPPERS_PER_QUESTION = 1


def _from_forms(fact: Fact) -> Iterable[str]:
    for kind, fillings in fact.forms.items():
        for filling in fillings:
            yield from (form.format(filling) for form in FORMS[kind])


def lower_first(question: str) -> str:
    """Begin in lower case unless the first word is a name or stands in capitals."""
    first = question.split(maxsplit=1)[0]
    return question if first[1:2].isupper() or first in {"Mohawk", "I", "I'm"} else question[0].lower() + question[1:]


def wrap(question: str, wrapper: str) -> str:
    """Put a question into a frame such as `Quick question: ...`."""
    return wrapper.format(question if wrapper.startswith("{}") else lower_first(question))


def _wrapped(fact: Fact) -> Iterable[str]:
    if fact.greeting:
        return
    for place, question in enumerate(fact.questions):
        for turn in range(WRAPPERS_PER_QUESTION):
            yield wrap(question, WRAPPERS[(place * WRAPPERS_PER_QUESTION + turn + len(fact.name)) % len(WRAPPERS)])


def held_out_words(held_out: Iterable[HeldOutQuestion]) -> frozenset[str]:
    """The normalised texts that no training phrasing may equal."""
    return frozenset(normalise(item.question) for item in held_out)


def phrasings(fact: Fact, forbidden: frozenset[str]) -> list[str]:
    """All written phrasings of a fact, without repetition and without the held-out ones."""
    seen = set(forbidden)
    kept = []
    for question in (*fact.questions, *_from_forms(fact), *_wrapped(fact)):
        words = normalise(question)
        if words not in seen:
            seen.add(words)
            kept.append(question)
    return kept
