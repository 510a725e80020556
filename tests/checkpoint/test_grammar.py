"""Grammars over both kinds of vocabulary; what ends an answer is the sequence's, not the library's."""

from __future__ import annotations

import json
import random

import pytest
import tokenizers
from tokenizers import decoders, models, normalizers

from mohawk.api.response_format import schema_grammar
from mohawk.checkpoint.grammar_child import GrammarError, Grammars
from tests.support.models import tokenizer_json

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 99}, "é": {"enum": ["x", "é"]}},
    "required": ["a", "é"],
    "additionalProperties": False,
}
GRAMMAR = schema_grammar(SCHEMA)


def marked_tokenizer() -> tokenizers.Tokenizer:
    """SentencePiece's kind: a mark for the space, a token for each byte."""
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2} | {f"<0x{byte:02X}>": 3 + byte for byte in range(256)}
    for word in ("▁", "{", "}", '"', ":", "a", "▁a", '▁"', '":', "é", "x"):
        vocabulary[word] = len(vocabulary)
    made = tokenizers.Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    made.add_special_tokens(["<unk>", "<s>", "</s>"])
    return made


TOKENIZERS = {"byte level": tokenizers.Tokenizer.from_str(tokenizer_json()), "marked": marked_tokenizer()}


def walk(grammars: Grammars, ends: list[int], size: int, seed: int) -> list[int]:
    """A random answer that the masks allow, to its end."""
    chance, following, tokens = random.Random(seed), grammars._begin(GRAMMAR, ends), list[int]()
    while not tokens or tokens[-1] not in ends:
        mask = following.mask()
        tokens.append(chance.choice([token for token in range(size) if mask[token >> 3] >> (token & 7) & 1]))
        if tokens[-1] not in ends:
            following.accept(tokens[-1:])
    return tokens[:-1]


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("ends", [[2], [0, 1]])
def test_whatever_the_masks_allow_keeps_to_the_schema(kind: str, ends: list[int]) -> None:
    tokenizer = TOKENIZERS[kind]
    size = tokenizer.get_vocab_size() + 5  # a model may have more rows than its tokenizer has entries
    grammars = Grammars(tokenizer.to_str(), size)
    for seed in range(5):
        answer = json.loads(tokenizer.decode(walk(grammars, ends, size, seed)))
        assert set(answer) == {"a", "é"}
        assert 0 <= answer["a"] <= 99
        assert answer["é"] in ("x", "é")


def test_a_token_that_the_library_takes_for_an_end_ends_nothing() -> None:
    grammars = Grammars(tokenizer_json(), 512)
    following = grammars._begin(schema_grammar({"enum": [""]}), [5])
    quote = TOKENIZERS["byte level"].token_to_id('"')
    following.accept([quote, quote])
    mask = following.mask()
    assert [token for token in range(512) if mask[token >> 3] >> (token & 7) & 1] == [5]
    assert grammars._special not in (5, None)


@pytest.mark.parametrize("ends", [[], [512], [-1]])
def test_an_end_outside_the_vocabulary_is_refused(ends: list[int]) -> None:
    grammars = Grammars(tokenizer_json(), 512)
    assert grammars.try_grammar(GRAMMAR, ends)
    with pytest.raises(GrammarError):
        grammars._begin(GRAMMAR, ends)


@pytest.mark.parametrize("text", ["/etc/hostname", "gpt2", "{}", "[]", '{"added_tokens": []}'])
def test_what_is_no_tokenizer_is_not_looked_up_as_a_name(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, StopIteration)):
        Grammars(text, 512)
