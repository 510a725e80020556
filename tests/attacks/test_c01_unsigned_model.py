"""C01: a model that is not signed, signed by a stranger, or changed after it was signed.

Expected: refused as untrusted; the manifest's contents are not even parsed.

Defence: crypto/signing.py:verify_publisher (pins); removed, whoever can reach a worker signs models for it.
Defence: crypto/signing.py:verify_publisher (both signatures); removed, one broken algorithm is enough to forge a model.
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

from mohawk.artifact.trust import accept_manifest, sign_manifest
from mohawk.crypto import canonical
from mohawk.crypto.signing import PublisherKey
from mohawk.errors import ArtifactError, UntrustedArtifactError
from tests.support.slices import make_manifest

PUBLISHER, STRANGER = PublisherKey.generate(), PublisherKey.generate()


def refuse(envelope: bytes) -> None:
    with pytest.raises(UntrustedArtifactError):
        accept_manifest(envelope, PUBLISHER.pins(), {})


def test_unsigned() -> None:
    document = json.loads(sign_manifest(make_manifest(), PUBLISHER))
    refuse(canonical.encode({**document, "signatures": []}))
    for signature in document["signatures"]:
        signature["sig"] = ""
    refuse(canonical.encode(document))
    with pytest.raises(ArtifactError):
        accept_manifest(make_manifest().encode(), PUBLISHER.pins(), {})


def test_signed_by_a_stranger() -> None:
    refuse(sign_manifest(make_manifest(), STRANGER))


@pytest.mark.parametrize("place", [0, 1])
def test_one_of_two_signatures_by_a_stranger(place: int) -> None:
    """With the stranger's key beside it, and with the publisher's key named instead."""
    document = json.loads(sign_manifest(make_manifest(), PUBLISHER))
    theirs = json.loads(sign_manifest(make_manifest(), STRANGER))["signatures"][place]
    genuine = document["signatures"][place]
    for forged in (theirs, {**genuine, "sig": theirs["sig"]}):
        document["signatures"][place] = forged
        refuse(canonical.encode(document))


def test_changed_after_signing() -> None:
    document = json.loads(sign_manifest(make_manifest(), PUBLISHER))
    payload = base64.b64decode(document["payload"])
    other = replace(make_manifest(), family="gpt2").encode()
    for changed in (other, payload + b" ", payload[:-1], b""):
        refuse(canonical.encode({**document, "payload": changed}))


def test_a_strangers_payload_is_not_parsed() -> None:
    """Garbage under a stranger's signature is untrusted, not malformed: the parser was never asked."""
    from mohawk.artifact.envelope import sign_envelope

    refuse(sign_envelope(b"\xff not a manifest", STRANGER))
