"""YAML that people write is read as they see it: nothing is built, unfolded, merged or taken twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from mohawk.errors import HostError, UsageError
from mohawk.host.yaml_file import MAXIMUM_YAML, parse_yaml, read_yaml


def test_plain_files(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("# a comment\nnumbers: [1, 2.5, -3]\nwords:\n  one: 'two'\n  three: null\nyes: true\n")
    assert read_yaml(path) == {"numbers": [1, 2.5, -3], "words": {"one": "two", "three": None}, True: True}
    with pytest.raises(HostError):
        read_yaml(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['true']",
        "a: !!python/name:os.system",
        "a: !!binary aGk=",
        "a: &x [1]\nb: *x",
        "base: &x {a: 1}\nb:\n  <<: *x",
        "<<: {a: 1}",
        "a: 2026-01-01",
    ],
)
def test_what_is_not_plain(text: str) -> None:
    with pytest.raises(UsageError, match="f "):
        parse_yaml(text.encode(), "f")


@pytest.mark.parametrize("text", ["a: 1\na: 2", "a: {b: 1, c: 2, b: 3}", "a: 1\n'a': 2", "? [x]\n: 1"])
def test_a_key_twice_or_one_that_is_no_word(text: str) -> None:
    with pytest.raises(UsageError, match="key"):
        parse_yaml(text.encode(), "f")


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"a: [", b"\t", b"--- a\n--- b", b"[" * 30_000, b"%"])
def test_what_is_no_yaml(data: bytes) -> None:
    with pytest.raises(UsageError):
        parse_yaml(data, "f")


def test_the_size_is_checked_first() -> None:
    with pytest.raises(UsageError, match="larger"):
        parse_yaml(b" " * (MAXIMUM_YAML + 1), "f")


def test_a_billion_laughs_stay_small() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    with pytest.raises(UsageError, match="alias"):
        parse_yaml("\n".join(lines).encode(), "f")
