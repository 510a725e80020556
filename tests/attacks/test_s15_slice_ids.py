"""S15: a slice id with a newline, NUL, non-ASCII digits, 65 characters, signs or leading zeros.

Expected: refused wherever an id is read: one slice has one name.

Defence: ids.py:parse_slice_id (full match, ASCII); removed (`match` and `$`), `slice_0_7` and `slice_0_7` with a
newline are two names for one slice, and the second forges a log line.
"""

from __future__ import annotations

import json

import pytest

from mohawk.artifact.manifest import parse_manifest
from mohawk.artifact.sealed_slice import MAGIC, parse_header
from mohawk.crypto import canonical
from mohawk.errors import RemoteError
from mohawk.ids import parse_slice_id
from tests.support.slices import make_context, make_manifest

BAD = [
    "slice_0_3\n",
    "\nslice_0_3",
    "slice_0_3\0",
    "slice_0_\u0663",
    "slice_\uff10_3",
    "slice_0_3" + " " * 56,
    "slice_0_" + "3" * 57,
    "slice_00_3",
    "slice_0_03",
    "slice_+0_3",
    "slice_-1_3",
    "slice_0_3_",
    "SLICE_0_3",
    "slice_3_0",
    "slice_0_99999",
    "../slice_0_3",
    "",
]


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_bad_ids(text: str) -> None:
    if text != "slice_0_99999":  # well-formed; refused by the bound on layers below
        with pytest.raises(RemoteError):
            parse_slice_id(text)
    document = json.loads(make_manifest().encode())
    document["slices"][0]["slice"] = text
    with pytest.raises(RemoteError):
        parse_manifest(canonical.encode(document))
    context = canonical.encode({**json.loads(make_context(0, 3).encode()), "slice": text})
    with pytest.raises(RemoteError):
        parse_header(MAGIC + len(context).to_bytes(4, "big") + context + bytes(48))


def test_the_good_one() -> None:
    assert parse_slice_id("slice_0_3") == (0, 3)
