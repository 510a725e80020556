"""Whatever arrives as a request body becomes a checked request or a refusal of the caller's: nothing else, and in little time."""

from __future__ import annotations

import contextlib
import json
import math

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mohawk.api.body import MAXIMUM_BODY, parse_body
from mohawk.api.schema import ChatBody, TextBody
from mohawk.api.strict import read
from mohawk.errors import UsageError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
CHAT_FIELDS = st.sampled_from(sorted({*ChatBody.model_fields, *ChatBody.neutral}))
TEXT_FIELDS = st.sampled_from(sorted({*TextBody.model_fields, *TextBody.neutral}))
CHAT = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True, "max_tokens": 5, "top_p": 0.5}
TEXT = {"model": "m", "prompt": [1, 2], "stop": ["x"], "seed": 3, "temperature": 0.1}
GOOD = json.dumps(CHAT).encode()


def check(data: bytes, schema: type[ChatBody | TextBody]) -> None:
    """Parse, and use every part that the application uses."""
    with contextlib.suppress(UsageError):
        body = read(schema, parse_body(data))
        assert len(data) <= MAXIMUM_BODY
        sampling = body.sampling(default_seed=1)
        assert all(math.isfinite(getattr(sampling, name)) for name in ("temperature", "top_p", "min_p"))
        tokens, field = body.new_tokens
        assert tokens is None or type(tokens) is int
        assert field in schema.model_fields
        assert all(isinstance(stop, str) for stop in body.stop)
        text = body.prompt if isinstance(body, TextBody) else [turn.plain() for turn in body.messages]
        json.dumps(text, ensure_ascii=False).encode("utf-8")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
@example(b"[" * 50_000)
@example(b'{"messages":' * 50_000)
@example(b'{"a":1' + b"0" * 5000 + b"}")
@example(b'{"prompt":[' + b"0," * 100_000 + b"0]}")
def test_any_bytes(data: bytes) -> None:
    check(data, ChatBody)
    check(data, TextBody)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=3))
def test_a_good_body_with_some_bytes_replaced(at: int, patch: bytes) -> None:
    check(GOOD[:at] + patch + GOOD[at + len(patch) :], ChatBody)


@settings(max_examples=200, deadline=None)
@given(CHAT_FIELDS, VALUES)
def test_any_value_in_any_chat_field(field: str, value: object) -> None:
    check(json.dumps({**CHAT, field: value}).encode(), ChatBody)


@settings(max_examples=200, deadline=None)
@given(TEXT_FIELDS, VALUES)
def test_any_value_in_any_text_field(field: str, value: object) -> None:
    check(json.dumps({**TEXT, field: value}).encode(), TextBody)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(["role", "content", "name", "type", "text", "x"]), VALUES, max_size=5))
def test_any_message(message: object) -> None:
    check(json.dumps({**CHAT, "messages": [message]}).encode(), ChatBody)
    check(json.dumps({**CHAT, "messages": [{"role": "user", "content": [message]}]}).encode(), ChatBody)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=10), VALUES, min_size=1, max_size=3))
def test_what_is_accepted_holds_no_unknown_field(fields: dict[str, object]) -> None:
    known = {*ChatBody.model_fields, *ChatBody.neutral}
    try:
        read(ChatBody, parse_body(json.dumps({**CHAT, **fields}).encode()))
    except UsageError:
        return
    assert fields.keys() <= known
