"""What passes over the join port: one request, one answer (docs/spec/identity.md 9).

Not part of the protobuf contract, because nobody is anybody yet: two canonical JSON documents, each within a limit that
is compared before a byte is read. A refusal is an answer of no bytes: why, the controller's log knows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mohawk.contract.trust import MAXIMUM_CERTIFICATE, MAXIMUM_LIST, MAXIMUM_REQUEST
from mohawk.crypto import canonical
from mohawk.crypto.signing import PublisherPins
from mohawk.errors import ArtifactError, MessageError, RemoteError
from mohawk.identity.join_token import ID_SIZE, PROOF_SIZE
from mohawk.identity.policy import MAXIMUM_POLICY
from mohawk.ids import check_digest

MAXIMUM_JOIN_REQUEST = 16 * 1024
MAXIMUM_JOIN_ANSWER = 192 * 1024
"""A full deny-list, a full root set and two certificates, in base64."""
REFUSAL = b""
_REQUEST = "mohawk-join-request-1"
_GRANT = "mohawk-join-grant-1"
_GRANT_KEYS = ("deny_list", "issuing", "leaf", "mldsa65", "p384", "policy", "roots", "type")


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """`request`: a certificate request (PKCS #10, DER); `proof`: that its sender holds the token named `token`."""

    token: bytes
    request: bytes
    proof: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class JoinGrant:
    """`leaf` and `issuing`: DER. `roots`: the signed root set, empty while it is the first. `policy`: the bytes of
    requirements.yaml.
    """

    leaf: bytes
    issuing: bytes
    roots: bytes
    deny_list: bytes
    publisher: PublisherPins
    policy: bytes


def encode_join_request(request: JoinRequest) -> bytes:
    return canonical.encode(
        {"proof": request.proof, "request": request.request, "token": request.token, "type": _REQUEST}
    )


def parse_join_request(data: bytes) -> JoinRequest:
    """Raises MessageError, whatever the bytes."""
    try:
        fields = canonical.decode(data, MAXIMUM_JOIN_REQUEST, ("proof", "request", "token", "type"))
        fields.require("type", _REQUEST)
        token, proof = fields.blob("token", ID_SIZE), fields.blob("proof", PROOF_SIZE)
        return JoinRequest(token, fields.blob("request", MAXIMUM_REQUEST), proof)
    except ArtifactError:
        raise MessageError("a join request that cannot be read") from None


def encode_join_grant(grant: JoinGrant) -> bytes:
    return canonical.encode(
        {
            "deny_list": grant.deny_list,
            "issuing": grant.issuing,
            "leaf": grant.leaf,
            "mldsa65": grant.publisher.mldsa65,
            "p384": grant.publisher.p384,
            "policy": grant.policy,
            "roots": grant.roots,
            "type": _GRANT,
        }
    )


def parse_join_grant(data: bytes) -> JoinGrant:
    """Raises MessageError, whatever the bytes."""
    try:
        fields = canonical.decode(data, MAXIMUM_JOIN_ANSWER, _GRANT_KEYS)
        fields.require("type", _GRANT)
        return JoinGrant(
            leaf=fields.blob("leaf", MAXIMUM_CERTIFICATE),
            issuing=fields.blob("issuing", MAXIMUM_CERTIFICATE),
            roots=fields.blob("roots", MAXIMUM_LIST),
            deny_list=fields.blob("deny_list", MAXIMUM_LIST),
            publisher=PublisherPins(check_digest(fields.text("p384")), check_digest(fields.text("mldsa65"))),
            policy=fields.blob("policy", MAXIMUM_POLICY),
        )
    except RemoteError:
        raise MessageError("an answer to a join request that cannot be read") from None
