"""Whatever bytes arrive as a manifest or its envelope, we parse them or raise; nothing unsigned comes through."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from mohawk.artifact.envelope import verify_envelope
from mohawk.artifact.manifest import parse_manifest
from mohawk.artifact.trust import accept_manifest, sign_manifest
from mohawk.crypto import canonical
from mohawk.crypto.signing import PublisherKey
from mohawk.errors import RemoteError, UntrustedArtifactError
from tests.support.slices import make_manifest

PUBLISHER = PublisherKey.generate()
PAYLOAD = make_manifest().encode()
ENVELOPE = sign_manifest(make_manifest(), PUBLISHER)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def parse_or_refuse(payload: bytes) -> None:
    try:
        manifest = parse_manifest(payload)
    except RemoteError:
        return
    assert manifest.encode() == payload


def refuse(envelope: bytes) -> None:
    try:
        accept_manifest(envelope, PUBLISHER.pins(), {})
    except (RemoteError, UntrustedArtifactError):
        return
    raise AssertionError("accepted what the publisher did not sign")


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_any_bytes(data: bytes) -> None:
    parse_or_refuse(data)
    refuse(data)


@given(st.sampled_from(sorted(json.loads(PAYLOAD))), VALUES)
@settings(max_examples=200)
def test_any_value_in_any_field(field: str, value: object) -> None:
    document = json.loads(PAYLOAD)
    document[field] = value
    parse_or_refuse(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


@given(st.sampled_from(["bytes", "digest", "key", "slice"]), VALUES)
@settings(max_examples=100)
def test_any_value_in_any_slice_field(field: str, value: object) -> None:
    document = json.loads(PAYLOAD)
    document["slices"][1][field] = value
    parse_or_refuse(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


@given(st.integers(0, len(ENVELOPE) - 1), st.integers(1, 255))
@settings(max_examples=200)
def test_one_byte_of_the_envelope_changed(at: int, change: int) -> None:
    data = bytearray(ENVELOPE)
    data[at] ^= change
    refuse(bytes(data))


@given(st.sampled_from(["payload", "payloadType", "signatures"]), VALUES)
@settings(max_examples=100)
def test_any_value_in_any_envelope_field(field: str, value: object) -> None:
    document = json.loads(ENVELOPE)
    document[field] = value
    refuse(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


@given(st.binary(max_size=64))
@settings(max_examples=50)
def test_any_payload_without_a_signature_over_it(payload: bytes) -> None:
    document = json.loads(ENVELOPE)
    try:
        verify_envelope(canonical.encode({**document, "payload": payload}), PUBLISHER.pins())
    except UntrustedArtifactError:
        return
    raise AssertionError("a payload came through without its signature")
