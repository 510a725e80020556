"""However text is cut into tokens, what is shown is the text: whole characters, up to the first stop string."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

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
