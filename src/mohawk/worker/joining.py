"""Joining: a machine that holds a token becomes a node (docs/spec/identity.md 9).

Rules, and the attack each stops:
- The key is born here and stays here; only its public half is sent.
- What comes back is judged as if a stranger had sent it: our own name, under the root that the token pins; a root set
  that this root signed; the publisher that the token pins, or a controller would choose whose models we run; a
  deny-list of the last minutes that names neither us nor who gave it to us. A controller that was taken over can refuse
  us, and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mohawk.channel.join_tls import ExpectedController
from mohawk.contract.joining import REFUSAL, JoinGrant, JoinRequest, encode_join_request, parse_join_grant
from mohawk.crypto import x509
from mohawk.crypto.certificate_request import make_request
from mohawk.crypto.signing import SigningKey
from mohawk.crypto.x509 import Certificate
from mohawk.errors import IdentityError, PolicyError, UsageError
from mohawk.host.identity import NodeIdentity
from mohawk.host.yaml_file import parse_yaml
from mohawk.identity.certificates import PeerIdentity
from mohawk.identity.credentials import NodeCredentials
from mohawk.identity.join_token import EXPORTER_CONTEXT, EXPORTER_SIZE, JoinToken, split_address
from mohawk.identity.policy import CertificatePolicy, parse_policy
from mohawk.identity.root_set import RootSet
from mohawk.identity.standing import Standing
from mohawk.transport.joining import Exporter, ask_to_join

_ANOTHER_PUBLISHER = "the controller may have been taken over: compare publisher.json with the operator's"
_ASK_AGAIN = "ask the operator for a new token: it may have been used, have expired, or your name may be revoked"


@dataclass(frozen=True, slots=True)
class Joined:
    """A new node: who it is, and what it knows of revocations from its first moment."""

    identity: NodeIdentity
    standing: Standing


async def join(token: JoinToken, now: datetime) -> Joined:
    """Become the node that `token` names. Raises PolicyError (the controller says no), IdentityError (somebody else
    answers, or what it gives is not what the token promises), HandshakeError, UnavailableError, RemoteError, UsageError
    (an expired token).
    """
    if now > token.expires:
        raise UsageError("a join token that has expired", hint="ask for a new one, and compare the machines' clocks")
    key = SigningKey.generate()
    controller = ExpectedController(token.root, token.name.domain, now)

    def make(exporter: Exporter) -> bytes:
        request = make_request(key)
        proof = token.prove(exporter(EXPORTER_CONTEXT, EXPORTER_SIZE), request)
        return encode_join_request(JoinRequest(token.id, request, proof))

    answer = await ask_to_join(split_address(token.controller), controller, make)
    if answer == REFUSAL:
        raise PolicyError("the controller did not let this machine join", hint=_ASK_AGAIN)
    assert controller.peer is not None  # judged before `make` was called
    assert controller.root is not None
    return accept_grant(parse_join_grant(answer), token, key, (controller.peer, controller.root), now)


def accept_grant(
    grant: JoinGrant, token: JoinToken, key: SigningKey, controller: tuple[PeerIdentity, Certificate], now: datetime
) -> Joined:
    """What a grant makes of us. `controller`: who gave it, and the pinned root that it proved. Raises IdentityError."""
    giver, root = controller
    standing = Standing(RootSet(0, (root,)), token.name.domain)
    if grant.roots:
        standing.learn_roots(grant.roots, now)
    standing.learn_deny_list(grant.deny_list, now)
    standing.judge(giver, now)
    chain = tuple(x509.parse_der(one) for one in (grant.leaf, grant.issuing))
    credentials = NodeCredentials(chain, key, standing.roots.roots, standing.roots.number)
    ourselves = credentials.check(now)
    if ourselves.name != token.name:
        raise IdentityError("a certificate for another name than the token's")
    standing.refuse(ourselves)
    if grant.publisher.digest() != token.publisher:
        raise IdentityError("another publisher than the token's", hint=_ANOTHER_PUBLISHER)
    policy = _read_policy(grant.policy)
    policy.check_chain((*chain, credentials.root))
    return Joined(NodeIdentity(credentials, grant.publisher, policy), standing)


def _read_policy(data: bytes) -> CertificatePolicy:
    try:
        return parse_policy(parse_yaml(data, "requirements.yaml"))
    except UsageError as error:
        raise IdentityError(f"a certificate policy that this version does not keep: {error.message}") from None
