"""H10: a leaf without extended key usage.

Expected: rejected by our own check; OpenSSL alone accepts it.
Defence: identity/certificates.py:_check_leaf (both purposes); removed, bytes of a leaf with no purpose at all are
read: nothing else refuses it.
"""

from __future__ import annotations

from mohawk.identity.names import IdentityRefusedError, Reason
from tests.support.tls import Forgery, Mesh, storm


def test_a_leaf_for_every_purpose_is_refused() -> None:
    outcome = storm(Mesh(), Forgery(purposes=()))
    assert outcome.theirs is None  # no alert: OpenSSL was content
    assert isinstance(outcome.ours, IdentityRefusedError)
    assert outcome.ours.reason is Reason.EXTENDED_KEY_USAGE
    assert outcome.plaintext == b""
