"""Whatever a person types as a token, or a peer sends to the join port: read, or refused by a typed error; never more."""

from __future__ import annotations

import base64
import contextlib
import json
from datetime import UTC, datetime
from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from mohawk.contract.joining import (
    JoinGrant,
    JoinRequest,
    encode_join_grant,
    encode_join_request,
    parse_join_grant,
    parse_join_request,
)
from mohawk.crypto.primitives import sha256
from mohawk.crypto.signing import PublisherPins
from mohawk.errors import MessageError, UsageError
from mohawk.host.yaml_file import parse_yaml
from mohawk.identity.join_token import JoinToken, encode_token, parse_token
from mohawk.identity.names import NodeName
from mohawk.identity.policy import BUILT_IN, encode_policy, parse_policy

GRANT = JoinGrant(b"leaf", b"issuing", b"", b"list", PublisherPins("ab" * 32, "cd" * 32), encode_policy(BUILT_IN))
REQUEST = JoinRequest(b"t" * 16, b"request", b"p" * 48)


@cache
def token() -> str:
    name = NodeName.parse("spiffe://mesh.example/worker/w1")
    return encode_token(JoinToken(name, datetime(2026, 7, 1, tzinfo=UTC), "ab" * 32, "10.0.0.10:8002", "cd" * 32))


@given(st.text(max_size=300) | st.text(max_size=100).map(lambda text: f"mohawk-join-1.{text}"))
def test_any_text_is_a_token_or_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert encode_token(parse_token(text)) == text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=6),
    max_leaves=8,
)


@given(st.sampled_from(["controller", "ek", "expires", "name", "root", "secret", "x"]), json_values)
def test_a_token_with_a_right_checksum_over_wrong_fields(key: str, value: object) -> None:
    """Whoever makes a token can make its checksum."""
    _, payload, _ = token().split(".")
    fields = json.loads(base64.urlsafe_b64decode(payload + "=="))
    fields[key] = value
    data = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode("ascii")
    head = "mohawk-join-1." + base64.urlsafe_b64encode(data).decode().rstrip("=")
    text = f"{head}.{sha256(head.encode()).hex()[:8]}"
    with contextlib.suppress(UsageError):
        assert encode_token(parse_token(text)) == text


def test_requests_and_grants_are_read_as_written() -> None:
    assert parse_join_request(encode_join_request(REQUEST)) == REQUEST
    assert parse_join_grant(encode_join_grant(GRANT)) == GRANT


@given(
    st.binary(max_size=400),
    st.sampled_from([encode_join_request(REQUEST), encode_join_grant(GRANT)]),
    st.integers(0, 5000),
)
def test_any_bytes_are_a_request_or_a_message_error(patch: bytes, base: bytes, position: int) -> None:
    position %= len(base)
    for data in (patch, base[:position] + patch + base[position + len(patch) :], base[:position]):
        for parser, encoder in ((parse_join_request, encode_join_request), (parse_join_grant, encode_join_grant)):
            with contextlib.suppress(MessageError):
                assert encoder(parser(data)) == data  # type: ignore[operator]


@given(json_values, st.sampled_from(["proof", "request", "token", "type", "x"]))
def test_wrong_types_in_a_request(value: object, key: str) -> None:
    fields = json.loads(encode_join_request(REQUEST)) | {key: value}
    data = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode("ascii")
    with contextlib.suppress(MessageError):
        assert encode_join_request(parse_join_request(data)) == data


@given(
    st.binary(max_size=300) | st.text(max_size=300).map(str.encode) | json_values.map(lambda v: json.dumps(v).encode())
)
def test_any_bytes_are_a_policy_or_a_usage_error(data: bytes) -> None:
    with contextlib.suppress(UsageError):
        parse_policy(parse_yaml(data, "requirements.yaml"))
