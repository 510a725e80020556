"""The table of mutations does not rot: what each removes is where it says, once, and its test is there."""

from __future__ import annotations

import ast
import re

import pytest

from scripts.mutate import ATTACKS, ROOT, SOURCE, Mutation, judge, read_mutations

MUTATIONS = read_mutations()


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.id)
def test_a_mutation_fits_the_code(mutation: Mutation) -> None:
    texts: dict[str, str] = {}
    for file, old, new in mutation.edits:
        text = texts.get(file) or (ROOT / SOURCE / file).read_text("utf-8")
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {file}"
        texts[file] = text.replace(old, new)
    for file, text in texts.items():
        assert ast.dump(ast.parse(text)) != ast.dump(ast.parse((ROOT / SOURCE / file).read_text("utf-8"))), "no change"


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.id)
def test_a_mutation_belongs_to_its_test(mutation: Mutation) -> None:
    words = ast.get_docstring(ast.parse((ROOT / ATTACKS / mutation.test).read_text("utf-8"))) or ""
    assert re.match(r"[A-Z]\d\d-[a-z]", mutation.id)
    assert words[:3] == mutation.id[:3]


def test_there_are_enough_of_them() -> None:
    assert len(MUTATIONS) >= 40


@pytest.mark.parametrize(
    ("code", "output", "outcome"),
    [
        (0, "3 passed in 1.0s", "survived"),
        (0, "3 skipped in 1.0s", "skipped"),
        (1, "FAILED tests/attacks/test_x.py::test_y - Failed: DID NOT RAISE\n1 failed", "killed"),
        (1, "FAILED tests/attacks/test_x.py::test_y - NameError: name 'x' is not defined\n1 failed", "broken"),
        (1, "ERROR tests/attacks/test_x.py::test_y\n1 error in 1.0s", "broken"),
        (4, "ImportError while loading conftest", "broken"),
        (-9, "", "killed"),
    ],
)
def test_only_a_test_that_failed_was_killed(code: int, output: str, outcome: str) -> None:
    assert judge(code, output)[0] == outcome
