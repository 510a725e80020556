"""Events of a stream: OpenAI's shapes, in ASCII, of a length that tells little."""

from __future__ import annotations

import json

import pytest

from mohawk.api.choice import Piece
from mohawk.api.openai import EVENT_BUCKET, ChatShape, Extras, Shape, TextShape

TEXTS = ["a", '"quoted" \\ {}', "line\n\u2028\u2029\x00", "Grüße 😀"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("usage", [True, False])
@pytest.mark.parametrize(("shape", "content"), [(ChatShape, "delta"), (TextShape, "text")])
def test_a_piece_of_text_has_the_shape_of_every_other_piece(
    shape: type[Shape], content: str, usage: bool, text: str
) -> None:
    """It is spelled by hand, the others are not."""
    by_hand, encoded = (
        read(shape("name", 7, "toy", Extras(usage, token_ids, (1,))).piece(2, Piece(text, (5,))))
        for token_ids in (False, True)
    )
    assert encoded["choices"][0].pop("token_ids") == [5]
    assert list(by_hand) == list(encoded)
    assert by_hand == encoded
    assert by_hand["choices"][0][content] == (text if content == "text" else {"content": text})


def read(event: bytes) -> dict:
    assert event.isascii()
    assert len(event) % EVENT_BUCKET == 0
    assert (event[:6], event[-2:]) == (b"data: ", b"\n\n")
    return json.loads(event[6:])


def test_nothing_to_show_is_no_event() -> None:
    assert (
        ChatShape("name", 7, "toy", Extras(usage=False, token_ids=False, prompt=(1,))).piece(0, Piece("", (5,))) == b""
    )
    assert TextShape("name", 7, "toy", Extras(usage=False, token_ids=False, prompt=(1,))).first(3) == b""
