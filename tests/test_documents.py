"""The documents do not rot: what the threat model and the map of the house name is there, and every attack is told."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
THREATS = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
LINKED = re.compile(r"\[([^\]]+)\]\(\.\./tests/([\w/]+\.py)\)")
CODE = re.compile(r"`([a-z_0-9/]+\.py)`")
COLUMNS = 4
FIRST_CLAIMS = 3
"""The sections before hold no claims."""


def rows() -> list[list[str]]:
    """The cells of each claim."""
    sections = re.split(r"^## \d+ ", THREATS, flags=re.MULTILINE)[FIRST_CLAIMS:]
    lines = (line for section in sections for line in section.splitlines() if line.startswith("| "))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("| claim")]


def test_every_attack_is_linked_once() -> None:
    linked = Counter(path for _, path in LINKED.findall(THREATS) if path.startswith("attacks/"))
    attacks = {f"attacks/{path.name}" for path in (ROOT / "tests" / "attacks").glob("test_*.py")}
    assert sorted(attacks - linked.keys()) == [], "attacks that the threat model does not tell"
    assert {path: count for path, count in linked.items() if count != 1} == {}


def test_every_file_that_it_names_is_there() -> None:
    tests = [ROOT / "tests" / path for _, path in LINKED.findall(THREATS)]
    sources = [ROOT / "src" / "mohawk" / path for path in CODE.findall(THREATS)]
    assert len(sources) > len(rows())
    assert [str(path.relative_to(ROOT)) for path in tests + sources if not path.is_file()] == []


def test_a_link_says_where_it_leads() -> None:
    """`[H01]` to H01's file, `[e2e/test_trust]` to that one."""
    for text, path in LINKED.findall(THREATS):
        is_attack = path.startswith("attacks/")
        assert text == (path.removeprefix("attacks/test_")[:3].upper() if is_attack else path.removesuffix(".py"))


def test_a_claim_has_a_mechanism_and_a_test_or_says_that_it_has_none() -> None:
    for cells in rows():
        assert len(cells) == COLUMNS, cells
        claim, mechanism, tests, limit = cells
        assert claim
        assert (CODE.search(mechanism) and LINKED.search(tests)) or (mechanism == "nothing" and limit), claim


def test_every_file_on_the_map_of_the_house_is_there() -> None:
    """A line that begins with a room names its files; lines below it go on in that room."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    room, missing = "", []
    for line in text.partition("## Rooms")[2].partition("```\n")[2].partition("```")[0].splitlines():
        if opened := re.match(r"([a-z]+/) ", line):
            room = opened[1]
        found = re.findall(r"(?<![\w*./])[a-z_0-9]+\.(?:py|proto)", line)
        missing += [room + file for file in found if not (ROOT / "src" / "mohawk" / room / file).is_file()]
    assert room == "cli/"
    assert missing == []
