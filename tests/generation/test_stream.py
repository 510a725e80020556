"""Tokens to text: whole characters, no stop string, linear cost."""

from __future__ import annotations

import pytest
import tokenizers
from tokenizers import decoders, models

from mohawk.generation.stream import Detokeniser, StopFilter, TextStream


def decode_bytes(tokens: list[int]) -> str:
    """Tokens below 256 are bytes; 256 and above are special ones without text."""
    return bytes(token for token in tokens if token < 256).decode("utf-8", "replace")


def shown(stream: TextStream | Detokeniser, tokens: list[int]) -> list[str]:
    return [stream.push(token) for token in tokens] + [stream.finish()]


def test_half_a_character_is_held_back() -> None:
    assert shown(Detokeniser(decode_bytes), list("a😀b".encode())) == ["a", "", "", "", "😀", "b", ""]


def test_what_never_becomes_a_character_is_shown_as_such_at_the_end() -> None:
    assert shown(Detokeniser(decode_bytes), [0x61, 0xF0, 0x9F]) == ["a", "", "", "\ufffd"]


def test_a_special_token_in_the_middle_of_a_character() -> None:
    first, second, third, fourth = "😀".encode()
    assert "".join(shown(Detokeniser(decode_bytes), [first, 256, second, third, fourth, 0x62])) == "😀b"


def test_endless_garbage_costs_as_much_as_text() -> None:
    """The window that is decoded again stays short, whatever the tokens are."""
    longest = 0

    def decode(tokens: list[int]) -> str:
        nonlocal longest
        longest = max(longest, len(tokens))
        return decode_bytes(tokens)

    for tokens in ([0xFF] * 500, [0x80] * 500, [256] * 500, [0xF0] * 500, [0x61] * 500, [0xE2, 0x82, 256] * 200):
        stream = Detokeniser(decode)
        assert "".join(shown(stream, tokens)) == decode_bytes(tokens)
        assert longest <= 10


def sentencepiece() -> tokenizers.Tokenizer:
    """As Llama 2's: words carry their space in front, unknown characters are bytes, the first space is dropped."""
    words = ["<s>", "▁Hello", "▁world", "▁", "!", *(f"<0x{byte:02X}>" for byte in range(256))]
    inner = tokenizers.Tokenizer(models.BPE(vocab={word: place for place, word in enumerate(words)}, merges=[]))
    inner.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    inner.add_special_tokens(["<s>"])
    return inner


def test_words_keep_their_spaces() -> None:
    inner = sentencepiece()
    assert "".join(shown(Detokeniser(inner.decode), [1, 2, 3, 1, 0, 2, 4])) == "Hello world  Hello world!"


def test_a_completion_goes_on_where_the_prompt_ends() -> None:
    inner = sentencepiece()
    assert shown(Detokeniser(inner.decode), [2]) == ["world", ""]
    assert shown(Detokeniser(inner.decode, context=[0, 1]), [2]) == [" world", ""]
    assert shown(Detokeniser(inner.decode, context=[0] * 9), [2]) == ["world", ""]


def test_bytes_that_a_decoder_takes_back_while_they_are_unfinished() -> None:
    """Byte fallback shows one mark per byte of a run, finished characters included, until all of the run is whole."""
    inner = sentencepiece()
    tokens = [5 + byte for byte in "é😀".encode()]
    assert inner.decode(tokens[:3]) == "\ufffd" * 3
    assert "".join(shown(Detokeniser(inner.decode), [1, *tokens, 2])) == "Helloé😀 world"


def test_a_stop_string_across_tokens() -> None:
    stream = TextStream(decode_bytes, stops=["END"])
    assert shown(stream, list(b"an ENDing")) == ["a", "n", " ", "", "", "", "", "", "", ""]
    assert stream.is_stopped


def test_what_only_began_like_a_stop_string_is_shown() -> None:
    stream = TextStream(decode_bytes, stops=["END"])
    assert shown(stream, list(b"EN")) == ["", "", "EN"]
    assert not stream.is_stopped


def test_a_stop_string_that_overlaps_itself() -> None:
    kept = StopFilter(["aab"])
    assert [kept.push(letter) for letter in "aaab"] == ["", "", "a", ""]
    assert kept.is_stopped


def test_the_first_to_be_complete_ends_the_text() -> None:
    kept = StopFilter(["bcde", "cd"])
    assert kept.push("abcde") == "ab"
    longer = StopFilter(["c", "bc"])
    assert longer.push("abc") == "a"


def test_a_stop_string_in_what_was_held_to_the_end() -> None:
    stream = TextStream(decode_bytes, stops=["\ufffd"])
    assert shown(stream, [0x61, 0xF0]) == ["a", "", ""]
    assert stream.is_stopped


def test_the_models_end_has_no_text_and_frees_what_was_held() -> None:
    stream = TextStream(decode_bytes, stops=["!!"], end_of_sequence=frozenset({0x62}))
    assert [stream.push(token) for token in b"a!bc"] == ["a", "", "", ""]
    assert stream.is_stopped
    assert stream.finish() == "!"


@pytest.mark.parametrize("stops", [[], ["zz"], ["a" * 256] * 16])
def test_long_text_passes_unchanged(stops: list[str]) -> None:
    tokens = list(("ab" * 1000).encode())
    assert "".join(shown(TextStream(decode_bytes, stops=stops), tokens)) == "ab" * 1000
