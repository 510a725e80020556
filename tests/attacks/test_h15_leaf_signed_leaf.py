"""H15: a node signs itself another identity with its own leaf.

Expected: rejected.
Defence: OpenSSL's chain rules and identity/certificates.py:check_peer (three certificates); removed, a worker that
signed itself a controller's name is read as that controller (OpenSSL alone still refuses).
"""

from __future__ import annotations

import pytest

from mohawk.identity.certificates import check_peer, issue_leaf
from mohawk.identity.names import IdentityRefusedError, Reason
from tests.support.tls import DOMAIN, Forgery, Mesh, duel, facts, our_server, raw_context, raw_peer, utc_now


def test_a_leaf_is_no_authority() -> None:
    mesh = Mesh()
    own = issue_leaf(mesh.issuing, mesh.name(), utc_now())
    forgery = Forgery(uris=(f"spiffe://{DOMAIN}/controller/c1",))
    forged = forgery.sign(own.chain[0].native, own.key.private)
    sent = (forged, *(one.native for one in own.chain))
    outcome = duel(our_server(mesh.worker), raw_peer(raw_context(chain=sent, key=forgery.key)))
    assert isinstance(outcome.ours, IdentityRefusedError)
    assert outcome.ours.reason is Reason.AUTHORITY
    assert outcome.plaintext == b""

    chain = (*facts(*sent), mesh.root.certificate)
    pins = frozenset({mesh.root.certificate.pin})
    for attempt in (chain, chain[:2] + chain[3:]):
        with pytest.raises(IdentityRefusedError) as caught:
            check_peer(attempt, utc_now(), pins, DOMAIN)
        assert caught.value.reason is Reason.BROKEN_CHAIN
