"""Text <-> token ids by the `tokenizers` library from the model's own tokenizer.json; transformers would load torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import tokenizers

from mohawk.checkpoint.settings import parse_side_object
from mohawk.checkpoint.template import read_special_tokens
from mohawk.checkpoint.token_bytes import plain_speller, spell_byte_level, spell_marked
from mohawk.errors import ArtifactError, HostError, UsageError

MAXIMUM_CHARACTERS = 1 << 22
CHARACTERS_PER_TOKEN = 64
"""A text with more characters per token of context is refused: the work is bounded before it starts (I02)."""

_TRIAL_SECONDS = 60.0


class Tokenizer:
    """A model's tokenizer. Threads may share it: it holds no state between calls."""

    def __init__(self, sides: Mapping[str, bytes], vocabulary_size: int, context_length: int) -> None:
        """From the side files by name; the numbers are the model's: no id may reach the one, no prompt the other.

        Raises ArtifactError when tokenizer.json is not a tokenizer, or refers to tokens that it does not have.
        """
        _try_elsewhere(sides["tokenizer.json"])
        with _library_errors():
            self._inner = tokenizers.Tokenizer.from_buffer(sides["tokenizer.json"])
        self._inner.no_truncation()  # a saved truncation would silently cut prompts
        self._inner.no_padding()
        self._limit = vocabulary_size
        self._longest = min(MAXIMUM_CHARACTERS, CHARACTERS_PER_TOKEN * context_length)
        tokens = read_special_tokens(sides)
        config = parse_side_object(sides.get("tokenizer_config.json", b"{}"))
        self.beginning = self._find(tokens.get("bos_token"))
        self.end = self._find(tokens.get("eos_token"))
        self._adds_beginning = config.get("add_bos_token") is True
        self._added = {token: entry.content for token, entry in self._inner.get_added_tokens_decoder().items()}
        decoder = _decoder_state(self._inner)
        self._spell = spell_byte_level if b'"ByteLevel"' in decoder else spell_marked
        self._spell_plain = plain_speller(decoder)
        self._plain: dict[int, str | None] = {}
        """What was asked for so far."""

    @property
    def vocabulary_size(self) -> int:
        """Tokens that the tokenizer knows, added ones included; the model may have more rows, for padding."""
        return int(self._inner.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str, *, add_special: bool = False, field: str = "messages") -> list[int]:
        """Token ids. `add_special` puts the beginning token where the model wants one: for plain prompts, not for
        rendered chats, whose template writes it.

        Raises UsageError naming `field`: too long, half a surrogate pair, or a token that the model lacks.
        """
        if len(text) > self._longest:
            raise UsageError(f"a text of more than {self._longest} characters, which no prompt can hold", field=field)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise UsageError("a text with half of a surrogate pair", field=field) from error
        with _library_errors():
            ids = [int(token) for token in self._inner.encode(text, add_special_tokens=add_special).ids]
        if add_special and self._adds_beginning and self.beginning is not None and ids[:1] != [self.beginning]:
            ids.insert(0, self.beginning)
        if ids and max(ids) >= self._limit:
            raise UsageError("a text with a token that the model does not have", field=field)
        return ids

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """Text of `ids`; an unfinished UTF-8 character at the end reads as U+FFFD. Ids without a token give no text.

        Raises UsageError for an id outside the model's vocabulary.
        """
        if not all(0 <= token < self._limit for token in ids):
            raise UsageError("a token id outside the vocabulary")
        with _library_errors():
            return str(self._inner.decode(list(ids), skip_special_tokens=skip_special))

    def token_bytes(self, token: int) -> bytes:
        """What `token` adds to the text; nothing for an id that has no token."""
        if token in self._added:
            return self._added[token].encode("utf-8")
        spelled = self._inner.id_to_token(token) if 0 <= token < self._limit else None
        return b"" if spelled is None else self._spell(spelled)

    def plain_text(self, token: int) -> str | None:
        """What `token` adds to any text that is not empty and ends with a whole character, when that does not depend on
        the text: a look in a table, where `decode` takes several microseconds.
        """
        if token not in self._plain:
            spelled = self._inner.id_to_token(token) if 0 <= token < self._limit else None
            is_usual = spelled is not None and token not in self._added
            self._plain[token] = self._spell_plain(spelled) if spelled is not None and is_usual else None
        return self._plain[token]

    def _find(self, token: str | None) -> int | None:
        return None if token is None else self._inner.token_to_id(token)


def _decoder_state(tokenizer: tokenizers.Tokenizer) -> bytes:
    """The decoder as JSON."""
    return b"" if tokenizer.decoder is None else bytes(tokenizer.decoder.__getstate__())


def _try_elsewhere(tokenizer: bytes) -> None:
    """Raise ArtifactError when building the tokenizer kills a process: better another one than this."""
    command = [sys.executable, "-I", "-X", "utf8", "-m", "mohawk.checkpoint.tokenizer_child"]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module, no shell, no input in it
            command,
            input=tokenizer,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"RAYON_NUM_THREADS": "1"},  # a pool of threads would not fit into its address space
            timeout=_TRIAL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ArtifactError("tokenizer.json takes too long to load") from error
    except OSError as error:
        raise HostError("the tokenizer's trial process cannot be started") from error
    if done.returncode != 0:
        raise ArtifactError("tokenizer.json is not a tokenizer", hint="save the tokenizer again with transformers")


@contextmanager
def _library_errors() -> Iterator[None]:
    """What the library raises over a strange tokenizer.json, as ArtifactError: plain Exception, or a Rust panic."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":  # a panic is no Exception
            raise ArtifactError("tokenizer.json does not work as a tokenizer") from error
        raise
