"""Protects the one door: signature, then contents, then version; and the side files behind it."""

from __future__ import annotations

import base64
import json

import pytest

from mohawk.artifact.trust import accept_manifest, check_side_file, sign_manifest
from mohawk.crypto import canonical
from mohawk.crypto.signing import PublisherKey
from mohawk.errors import ArtifactError, UntrustedArtifactError
from tests.support.slices import SIDE_FILES, make_manifest


@pytest.fixture(scope="module")
def publisher() -> PublisherKey:
    return PublisherKey.generate()


def test_a_signed_manifest_is_accepted(publisher: PublisherKey) -> None:
    manifest = make_manifest(version=3)
    envelope = sign_manifest(manifest, publisher)
    assert accept_manifest(envelope, publisher.pins(), {}) == manifest
    assert accept_manifest(envelope, publisher.pins(), {"tiny": 3, "other": 9}) == manifest


def test_the_signature_is_dsse(publisher: PublisherKey) -> None:
    """Checked from outside: another DSSE implementation would compute the same bytes."""
    from mohawk.crypto.signing import verify

    document = json.loads(sign_manifest(make_manifest(), publisher))
    payload = base64.b64decode(document["payload"])
    kind = document["payloadType"].encode()
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    first = document["signatures"][0]
    verify(base64.b64decode(first["spki"]), base64.b64decode(first["sig"]), signed)


def test_an_envelope_of_another_type_is_refused(publisher: PublisherKey) -> None:
    envelope = sign_manifest(make_manifest(), publisher)
    with pytest.raises(ArtifactError):
        accept_manifest(envelope.replace(b"manifest.v1", b"manifest.v2"), publisher.pins(), {})


def test_signatures_swapped_or_repeated(publisher: PublisherKey) -> None:
    document = json.loads(sign_manifest(make_manifest(), publisher))
    first, second = document["signatures"]
    for signatures in ([second, first], [first], [second], [first, first], [second, second], []):
        with pytest.raises(UntrustedArtifactError):
            accept_manifest(canonical.encode({**document, "signatures": signatures}), publisher.pins(), {})
    with pytest.raises(ArtifactError):
        accept_manifest(canonical.encode({**document, "signatures": [first, second, first]}), publisher.pins(), {})


def test_a_signature_under_a_wrong_key_id(publisher: PublisherKey) -> None:
    document = json.loads(sign_manifest(make_manifest(), publisher))
    document["signatures"][0]["keyid"] = "00" * 32
    with pytest.raises(ArtifactError):
        accept_manifest(canonical.encode(document), publisher.pins(), {})


def test_side_files(publisher: PublisherKey) -> None:
    manifest = accept_manifest(sign_manifest(make_manifest(), publisher), publisher.pins(), {})
    for name, data in SIDE_FILES.items():
        check_side_file(manifest, name, data)
        with pytest.raises(ArtifactError, match="differs"):
            check_side_file(manifest, name, data + b" ")
    with pytest.raises(ArtifactError, match="no such"):
        check_side_file(manifest, "generation_config.json", b"{}")
