"""Builds and tries a tokenizer in a process of its own, which may die of it.

The `tokenizers` library can abort the whole process on a crafted tokenizer.json (a panic while it formats its own
error), which no `except` can catch. So a file is tried here first: bytes on standard input, exit status 0 when it
builds, encodes and decodes.
"""

from __future__ import annotations

import resource
import sys

import tokenizers

MEMORY_LIMIT = 4 << 30
"""Bytes of address space: tokenizers of 250 000 entries need a quarter of it."""
_SAMPLE = "Hello, world.\n 1234 \u00e9\u6771\U0001f985 <s></s>"


def main() -> None:
    """Raises whatever the library raises; dies of whatever it dies of."""
    for limit, value in ((resource.RLIMIT_AS, MEMORY_LIMIT), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(limit, (value, value))
    tokenizer = tokenizers.Tokenizer.from_buffer(sys.stdin.buffer.read())
    for special in (False, True):
        tokenizer.decode(tokenizer.encode(_SAMPLE, add_special_tokens=special).ids, skip_special_tokens=special)


if __name__ == "__main__":
    main()
