"""H16: an authority below the issuing one, whose path length is 0.

Expected: rejected.
Defence: OpenSSL's path length and identity/certificates.py:check_peer (three certificates); removed, an authority
that a thief of one sub-key made is read as ours (check_peer alone still refuses).
"""

from __future__ import annotations

import pytest

from mohawk.identity.certificates import check_peer
from mohawk.identity.names import IdentityRefusedError, Reason
from tests.support.tls import (
    AUTHORITY_USAGES,
    DOMAIN,
    Forgery,
    Mesh,
    duel,
    facts,
    our_server,
    raw_context,
    raw_peer,
    utc_now,
)


def test_an_authority_below_the_issuing_one_is_refused() -> None:
    mesh = Mesh()
    middle = Forgery(uris=(), purposes=(), is_authority=True, path_length=0, usages=AUTHORITY_USAGES)
    authority = middle.by(mesh.issuing)
    forgery = Forgery(uris=(f"spiffe://{DOMAIN}/controller/c1",))
    sent = (forgery.sign(authority[0], middle.key), *authority)
    outcome = duel(our_server(mesh.worker), raw_peer(raw_context(chain=sent, key=forgery.key)))
    assert isinstance(outcome.ours, IdentityRefusedError)
    assert outcome.ours.reason is Reason.AUTHORITY
    assert outcome.plaintext == b""

    chain = (*facts(*sent), mesh.root.certificate)
    with pytest.raises(IdentityRefusedError) as caught:
        check_peer(chain, utc_now(), frozenset({mesh.root.certificate.pin}), DOMAIN)
    assert caught.value.reason is Reason.BROKEN_CHAIN
