"""YAML files that people write: plain mappings, lists, words and numbers. The only home of the YAML library.

Rules, and the attack each stops:
- `yaml.safe_load` only: any other loader builds objects that the file names (C09).
- No aliases, merges or tags: a few hundred bytes of them unfold into gigabytes.
- No key twice: which of two the library takes is not what every reader of the file would guess.
- The size is checked before the parser sees a byte; nesting that is too deep ends in the same typed error.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from mohawk.errors import UsageError
from mohawk.host.files import read_file

MAXIMUM_YAML = 64 * 1024
_PLAIN = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null"))
_HINT = "it may hold plain mappings, lists, words and numbers"


def read_yaml(path: Path, limit: int = MAXIMUM_YAML) -> object:
    """What `path` holds. Raises HostError (cannot be read, too large) or UsageError (not a YAML file of ours)."""
    return parse_yaml(read_file(path, limit), path.name, limit)


def parse_yaml(data: bytes, name: str, limit: int = MAXIMUM_YAML) -> object:
    """What `data` holds; `name` is for the error. Raises UsageError, whatever the bytes."""
    if len(data) > limit:
        raise UsageError(f"{name} is larger than {limit >> 10} KiB", field=name)
    try:
        text = data.decode("utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)  # the tree as written; nothing is built from it yet
        _check_plain(root, name, set())
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: encoding, numbers that are none
        raise UsageError(f"{name} is not YAML", hint=_HINT, field=name) from None


def _check_plain(node: yaml.Node | None, name: str, seen: set[int]) -> None:
    """Raises UsageError at the first thing that is not plain. A node that is met again is an alias."""
    if node is None or node.tag not in _PLAIN or id(node) in seen:
        raise UsageError(f"{name} is empty, or holds a tag, an alias or a date", hint=_HINT, field=name)
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for one in node.value:
            _check_plain(one, name, seen)
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(keys)) != len(node.value):
            raise UsageError(f"{name} holds a key twice, or one that is no word", hint=_HINT, field=name)
        for pair in node.value:
            for one in pair:
                _check_plain(one, name, seen)
