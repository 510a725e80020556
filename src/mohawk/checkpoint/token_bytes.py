"""The bytes behind a token, by the way that its vocabulary spells them.

Decoding one token alone does not give them: a token may be half a character, and decoders drop a leading space.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>", re.ASCII)
_SPACE = "\u2581"


def spell_byte_level(token: str) -> bytes:
    """Of GPT-2's alphabet, one letter for each byte; letters outside it stand for themselves."""
    return b"".join(_ALPHABET[letter] if letter in _ALPHABET else letter.encode("utf-8") for letter in token)


def spell_marked(token: str) -> bytes:
    """Of SentencePiece's kind: U+2581 for a space, `<0x0A>` for a byte that has no token of its own."""
    match = _BYTE.fullmatch(token)
    return bytes([int(match[1], 16)]) if match else token.replace(_SPACE, " ").encode("utf-8")


Plain = Callable[[str], str | None]
"""The text that a token, as the vocabulary spells it, adds behind any other text; None where that depends on what is
around it.
"""


def plain_speller(decoder: bytes) -> Plain:
    """By the decoder's own JSON. Only decoders are known that do to one token what they do to many; of all others no
    token is plain.
    """
    state = json.loads(decoder or b"{}")
    parts = state["decoders"] if state.get("type") == "Sequence" else [state]
    if [part.get("type") for part in parts] == ["ByteLevel"]:
        return _plain_byte_level
    return _plain_marked if all(_is_marked(part) for part in parts) else lambda _token: None


def _is_marked(part: Mapping[str, object]) -> bool:
    """One of the steps that undo SentencePiece's spelling, as everybody sets them."""
    match part:
        case {"type": "ByteFallback" | "Fuse"}:
            return True
        case {"type": "Metaspace", "replacement": str(mark)}:
            return mark == _SPACE
        case {"type": "Replace", "pattern": {"String": str(mark)}, "content": " "}:
            return mark == _SPACE
        case {"type": "Strip", "content": " ", "stop": 0}:
            return True
    return False


def _plain_byte_level(token: str) -> str | None:
    """None for half a character, and for letters outside the alphabet: the library spells such tokens otherwise."""
    if not all(letter in _ALPHABET for letter in token):
        return None
    try:
        return spell_byte_level(token).decode("utf-8")
    except UnicodeDecodeError:
        return None


def _plain_marked(token: str) -> str | None:
    """None for a byte: it may be half a character."""
    return None if _BYTE.fullmatch(token) else token.replace(_SPACE, " ")


def _alphabet() -> Mapping[str, bytes]:
    """Printable bytes of Latin-1 stand for themselves, the others for the characters from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    plain = {chr(byte): bytes([byte]) for byte in printable}
    return plain | {chr(0x100 + place): bytes([byte]) for place, byte in enumerate(others)}


_ALPHABET = _alphabet()
