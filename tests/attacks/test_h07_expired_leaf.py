"""H07: a client's leaf has expired.

Expected: rejected with a typed reason; by OpenSSL, and by our own check at the time our caller names.
Defence: OpenSSL's verification (channel/profile.py:NodeContext._build) and identity/certificates.py:_check_time;
removed, an expired node's bytes are read (each alone still refuses where the clocks agree).
"""

from __future__ import annotations

from datetime import timedelta

from mohawk.identity.names import IdentityRefusedError, Reason
from tests.support.tls import Forgery, Mesh, freeze_store, storm, utc_now


def forged() -> Forgery:
    return Forgery(end=timedelta(days=-1), start=timedelta(days=-2))


def test_openssl_rejects_it_and_we_say_why() -> None:
    outcome = storm(Mesh(), forged())
    assert isinstance(outcome.ours, IdentityRefusedError)
    assert outcome.ours.reason is Reason.EXPIRED
    assert outcome.plaintext == b""


def test_our_own_check_rejects_it_when_openssls_clock_is_wrong() -> None:
    mesh = Mesh(age=timedelta(days=30))
    context = mesh.context()
    freeze_store(context, utc_now() - timedelta(days=1, hours=12))
    outcome = storm(mesh, forged(), context)
    assert outcome.theirs is None  # no alert: OpenSSL was content
    assert isinstance(outcome.ours, IdentityRefusedError)
    assert outcome.ours.reason is Reason.EXPIRED
    assert outcome.plaintext == b""
