"""However text is cut into tokens, what is shown is the text: whole characters, up to the first stop string."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable

import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers

from mohawk.checkpoint.tokenizer import Tokenizer
from mohawk.generation.stream import StopFilter, TextStream

SOUP = st.text(alphabet="abéß€漢😀👩🏽 \u0301\ufffd", max_size=30).map(str.encode) | st.binary(max_size=12)


def byte_decoder(pieces: list[bytes]) -> Callable[[list[int]], str]:
    """A byte-level vocabulary whose token i is `pieces[i]`."""
    return lambda tokens: b"".join(pieces[token] for token in tokens).decode("utf-8", "replace")


@st.composite
def token_runs(draw: st.DrawFn) -> list[bytes]:
    """Some bytes, cut anywhere, also in the middle of characters. No token is empty."""
    data = draw(st.lists(SOUP, max_size=6).map(b"".join))
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(data) - 1)), max_size=len(data))))
    pieces = [data[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    return [piece for piece in pieces if piece]


@settings(max_examples=200, deadline=None)
@given(token_runs())
def test_what_is_shown_is_the_text(pieces: list[bytes]) -> None:
    stream = TextStream(byte_decoder(pieces))
    whole = b"".join(pieces).decode("utf-8", "replace")
    shown = ""
    for token in range(len(pieces)):
        shown += stream.push(token)
        assert whole.startswith(shown)
    assert shown + stream.finish() == whole


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1, max_size=30))
def test_good_text_never_shows_a_replacement(text: str) -> None:
    pieces = [bytes([byte]) for byte in text.encode()]
    stream = TextStream(byte_decoder(pieces))
    shown = [stream.push(token) for token in range(len(pieces))]
    assert "".join(shown) + stream.finish() == text
    assert "".join(shown).count("\ufffd") <= text.count("\ufffd")


WORDS = ("hello", " world", " ", "  ", "\n", "é", "漢", "😀", "\ufffd", "a\u0301", "<0x41", "Ġ")
ENDLESS = 1 << 20


@functools.cache
def vocabulary(kind: str) -> Tokenizer:
    """Words, each byte alone, a special token, and an added one that is none; spelled as `kind` does."""
    if kind == "byte-level":
        letters = dict(zip(range(256), sorted(pre_tokenizers.ByteLevel.alphabet()), strict=True))
        spelled = [pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(word) for word in WORDS]
        names = ["".join(part for part, _ in parts) for parts in spelled] + list(letters.values())
        decoder = decoders.ByteLevel()
    else:
        names = [word.replace(" ", "▁") for word in WORDS] + [f"<0x{byte:02X}>" for byte in range(256)]
        undo = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        decoder = decoders.Sequence([*undo, *([decoders.Strip(" ", 1, 0)] if kind == "llama" else [])])
    numbered = {name: place for place, name in enumerate(dict.fromkeys(names))}
    inner = tokenizers.Tokenizer(models.BPE(vocab=numbered, merges=[]))
    inner.decoder = decoder
    inner.add_special_tokens(["<s>"])
    inner.add_tokens(["<ünusual▁>"])
    return Tokenizer({"tokenizer.json": inner.to_str().encode(), "config.json": json.dumps({}).encode()}, ENDLESS, 64)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(["byte-level", "llama", "gemma"]), st.data())
def test_what_is_looked_up_is_what_decoding_all_would_show(kind: str, data: st.DataObject) -> None:
    """Of vocabularies whose tokens are spelled in bytes, after a prompt that ends anywhere."""
    tokenizer = vocabulary(kind)
    token = st.integers(0, len(WORDS) - 1) | st.integers(0, tokenizer.vocabulary_size + 1)
    character = st.sampled_from("aé漢😀").map(lambda one: tokenizer.encode(one, field="prompt"))
    prompt, answer = (data.draw(st.lists(token.map(lambda one: [one]) | character, max_size=20)) for _ in range(2))
    context, tokens = ([one for part in parts for one in part] for parts in (prompt, answer))
    looked_up = TextStream(tokenizer.decode, context=context, plain_text=tokenizer.plain_text)
    decoded = TextStream(tokenizer.decode, context=context)
    shown = "".join([looked_up.push(one) for one in tokens]) + looked_up.finish()
    assert shown == "".join([decoded.push(one) for one in tokens]) + decoded.finish()


@settings(max_examples=200, deadline=None)
@given(
    st.text(alphabet="ab", max_size=40),
    st.lists(st.text(alphabet="ab", min_size=1, max_size=6), max_size=4),
    st.data(),
)
def test_nothing_of_a_stop_string_is_shown(text: str, stops: list[str], data: st.DataObject) -> None:
    chunks, rest = [], text
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        chunks.append(rest[:size])
        rest = rest[size:]
    kept = StopFilter(stops)
    shown = ""
    for chunk in chunks:
        shown += kept.push(chunk)
        assert not any(stop in shown for stop in stops)
    is_stopped = kept.is_stopped
    shown += "" if is_stopped else kept.finish()
    expected = _first_stop(text, stops)
    assert is_stopped == (expected is not None)
    assert shown == (text if expected is None else text[:expected])


def _first_stop(text: str, stops: list[str]) -> int | None:
    """Where the stop string begins that is complete first; of several, the longest."""
    for end in range(1, len(text) + 1):
        begins = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if begins:
            return min(begins)
    return None
