"""The digest of our own installed code, as the service measures it (docs/spec/attestation.md 7).

It covers every file of the `mohawk` package, by path and content, but for `__pycache__`; it covers neither Python, nor
other packages, nor compiled copies of our own files that somebody altered.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import mohawk
from mohawk.crypto.primitives import sha256
from mohawk.host.files import translate_errors

_CACHE = "__pycache__"


def code_digest() -> bytes:
    """SHA-256 over this installation. Raises HostError when a file cannot be read."""
    assert mohawk.__file__ is not None
    return folder_digest(Path(mohawk.__file__).parent)


def folder_digest(folder: Path) -> bytes:
    """H( lp( path, H(content), … ) ) over the files below `folder`, in order of their paths."""
    whole = hashlib.sha256()
    with translate_errors("reading our own code"):
        found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        for name in sorted(found):
            if _CACHE not in Path(name).parts:
                _add(whole, name.encode())
                _add(whole, sha256(found[name].read_bytes()))
    return whole.digest()


def _add(whole: hashlib._Hash, part: bytes) -> None:
    whole.update(len(part).to_bytes(4, "big") + part)
