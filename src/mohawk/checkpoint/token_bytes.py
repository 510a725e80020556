"""The bytes behind a token, by the way that its vocabulary spells them.

Decoding one token alone does not give them: a token may be half a character, and decoders drop a leading space.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>", re.ASCII)
_SPACE = "\u2581"


def spell_byte_level(token: str) -> bytes:
    """Of GPT-2's alphabet, one letter for each byte; letters outside it stand for themselves."""
    return b"".join(_ALPHABET[letter] if letter in _ALPHABET else letter.encode("utf-8") for letter in token)


def spell_marked(token: str) -> bytes:
    """Of SentencePiece's kind: U+2581 for a space, `<0x0A>` for a byte that has no token of its own."""
    match = _BYTE.fullmatch(token)
    return bytes([int(match[1], 16)]) if match else token.replace(_SPACE, " ").encode("utf-8")


def _alphabet() -> Mapping[str, bytes]:
    """Printable bytes of Latin-1 stand for themselves, the others for the characters from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    plain = {chr(byte): bytes([byte]) for byte in printable}
    return plain | {chr(0x100 + place): bytes([byte]) for place, byte in enumerate(others)}


_ALPHABET = _alphabet()
