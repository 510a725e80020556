"""H12: a leaf with no URI name, a root path, or a name of a foreign trust domain.

Expected: rejected, each with its reason.
Defence: identity/certificates.py:_check_leaf and identity/names.py:NodeName.parse; removed, nodes of evil.example,
and names without role or name, are taken for ours.
"""

from __future__ import annotations

import pytest

from mohawk.identity.names import IdentityRefusedError, Reason
from tests.support.tls import DOMAIN, Forgery, Mesh, storm


@pytest.mark.parametrize(
    ("uris", "reason"),
    [
        ((), Reason.ALTERNATIVE_NAMES),
        ((f"spiffe://{DOMAIN}",), Reason.MALFORMED_NAME),
        ((f"spiffe://{DOMAIN}/",), Reason.MALFORMED_NAME),
        ((f"spiffe://{DOMAIN}/worker",), Reason.MALFORMED_NAME),
        ((f"https://{DOMAIN}/worker/w1",), Reason.MALFORMED_NAME),
        (("spiffe://evil.example/worker/w1",), Reason.FOREIGN_DOMAIN),
        ((f"spiffe://evil-{DOMAIN}/worker/w1",), Reason.FOREIGN_DOMAIN),
        ((f"spiffe://{DOMAIN}.evil.example/worker/w1",), Reason.FOREIGN_DOMAIN),
    ],
)
def test_a_leaf_that_names_no_node_of_ours_is_refused(uris: tuple[str, ...], reason: Reason) -> None:
    outcome = storm(Mesh(), Forgery(uris=uris))
    assert isinstance(outcome.ours, IdentityRefusedError)
    assert outcome.ours.reason is reason
    assert outcome.plaintext == b""
