"""DSSE (secure-systems-lab/dsse, protocol 1.0.0): signed bytes that cannot be mistaken for signed bytes of another
type.

Rules, and the attack each stops:

1. What is signed is PAE(type, payload), never the JSON around it: no canonicalisation stands between us and the truth.
2. Both signatures, P-384 and ML-DSA-65, by pinned keys, or nothing: no threshold, no first-match, no key from a
   stranger.
3. `verify_envelope` is the only way to the payload: bytes that nobody signed have no way in.
"""

from __future__ import annotations

from mohawk.crypto import canonical
from mohawk.crypto.signing import PublisherKey, PublisherPins, PublisherSignature, spki_sha256, verify_publisher
from mohawk.errors import ArtifactError, RemoteError, UntrustedArtifactError

MAXIMUM_ENVELOPE = 60 * 1024
"""An envelope travels in one control frame of 64 KiB, with room for the message around it."""
_PAYLOAD_TYPE = "application/vnd.mohawk.manifest.v1+json"
_SPKI_LIMIT = 2048
_SIGNATURE_LIMIT = 3400


def sign_envelope(payload: bytes, key: PublisherKey) -> bytes:
    """Raises ArtifactError when the envelope would not fit its limit."""
    made = key.sign(_pre_authentication_encoding(payload))
    envelope = canonical.encode(
        {
            "payload": payload,
            "payloadType": _PAYLOAD_TYPE,
            "signatures": [
                _encode_signature(made.p384_spki, made.p384),
                _encode_signature(made.mldsa65_spki, made.mldsa65),
            ],
        }
    )
    if len(envelope) > MAXIMUM_ENVELOPE:
        raise ArtifactError("a manifest that is too large", hint="cut the model into fewer slices")
    return envelope


def verify_envelope(envelope: bytes, pins: PublisherPins) -> bytes:
    """The payload, once both signatures verify under the pinned keys.

    Raises ArtifactError when it is no envelope of ours, UntrustedArtifactError when the pinned publisher did not sign
    it.
    """
    fields = canonical.decode(envelope, MAXIMUM_ENVELOPE, ("payload", "payloadType", "signatures"))
    fields.require("payloadType", _PAYLOAD_TYPE)
    payload = fields.blob("payload", MAXIMUM_ENVELOPE)
    signatures = fields.items("signatures", 2, ("keyid", "sig", "spki"))
    if len(signatures) != 2:
        raise UntrustedArtifactError("a manifest without both of its publisher's signatures")
    p384, mldsa65 = ((part.blob("sig", _SIGNATURE_LIMIT), part.blob("spki", _SPKI_LIMIT)) for part in signatures)
    for part, (_, spki) in zip(signatures, (p384, mldsa65), strict=True):
        part.require("keyid", spki_sha256(spki))
    try:
        verify_publisher(
            pins, PublisherSignature(p384[0], mldsa65[0], p384[1], mldsa65[1]), _pre_authentication_encoding(payload)
        )
    except RemoteError as error:
        raise UntrustedArtifactError(
            f"this manifest is not trusted here: {error.message}",
            hint="pin the publisher's keys, or have the pinned publisher sign it",
        ) from None
    return payload


def _pre_authentication_encoding(payload: bytes) -> bytes:
    """PAE: lengths in decimal, so that type and payload cannot flow into each other."""
    return b"DSSEv1 %d %b %d %b" % (len(_PAYLOAD_TYPE), _PAYLOAD_TYPE.encode(), len(payload), payload)


def _encode_signature(spki: bytes, signature: bytes) -> dict[str, canonical.Json]:
    return {"keyid": spki_sha256(spki), "sig": signature, "spki": spki}
