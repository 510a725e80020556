"""Names that travel: each is checked once, by full match, and never becomes part of a path.

`re.fullmatch` and not `^...$` with `match`: the latter accepts a trailing newline, which lets one identifier pass for
two.
"""

from __future__ import annotations

import re

from mohawk.errors import RemoteError

_SLICE = re.compile(r"slice_(0|[1-9][0-9]{0,4})_(0|[1-9][0-9]{0,4})", re.ASCII)
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_MODEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


def parse_slice_id(text: str) -> tuple[int, int]:
    """`slice_<first>_<last>` -> (first, last), both inclusive. Raises RemoteError on anything else."""
    match = _SLICE.fullmatch(text)
    if match is None:
        raise RemoteError("not a slice id", hint="a slice id reads slice_<first>_<last>, for example slice_0_7")
    first, last = int(match[1]), int(match[2])
    if last < first:
        raise RemoteError("a slice id whose last layer comes before its first")
    return first, last


def slice_id(first: int, last: int) -> str:
    """(0, 7) -> `slice_0_7`."""
    return f"slice_{first}_{last}"


def check_node_name(text: str) -> str:
    """A DNS label: the last part of a node's SPIFFE id. Raises RemoteError."""
    if _NAME.fullmatch(text) is None:
        raise RemoteError("not a node name", hint="use 1-63 lower-case letters, digits and inner hyphens")
    return text


def check_model_id(text: str) -> str:
    """Letters, digits, dot, underscore, hyphen; at most 64. Raises RemoteError."""
    if _MODEL.fullmatch(text) is None or ".." in text:
        raise RemoteError("not a model id", hint="use at most 64 letters, digits, '.', '_' and '-'")
    return text


def check_digest(text: str) -> str:
    """A SHA-256 in lower-case hexadecimal. Raises RemoteError."""
    if _DIGEST.fullmatch(text) is None:
        raise RemoteError("not a SHA-256 digest")
    return text
