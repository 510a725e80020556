"""H17: a self-signed certificate, a foreign authority's, or one of an authority in the system's store.

Expected: rejected; the system's roots are never loaded.
Defence: channel/profile.py:trust_roots (nothing else is trusted) and identity/certificates.py:_check_root (pins);
removed, a node of any authority in the system's store is read as ours (each alone still refuses).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from OpenSSL import crypto

from mohawk.identity.names import IdentityRefusedError, Reason
from tests.support.tls import Forgery, Mesh, Outcome, duel, our_server, raw_context, raw_peer


def assert_untrusted(outcome: Outcome) -> None:
    assert isinstance(outcome.ours, IdentityRefusedError)
    assert outcome.ours.reason is Reason.UNTRUSTED_ROOT
    assert outcome.plaintext == b""


def test_a_self_signed_leaf_is_refused() -> None:
    forgery = Forgery()
    own = forgery.sign(None, forgery.key)
    assert_untrusted(duel(our_server(Mesh().worker), raw_peer(raw_context(chain=(own,), key=forgery.key))))


def test_a_system_store_authority_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The foreign root lies where OpenSSL's default locations are, as a system's would."""
    foreign = Mesh()
    store = tmp_path / "roots.pem"
    store.write_bytes(foreign.root.certificate.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(store))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    forgery = Forgery()
    chain = (*forgery.by(foreign.issuing), foreign.root.certificate.native)
    assert_untrusted(duel(our_server(Mesh().worker), raw_peer(raw_context(chain=chain, key=forgery.key))))


def test_the_pins_refuse_what_openssl_would_trust() -> None:
    """The foreign root got into OpenSSL's store, by whatever mistake of ours."""
    foreign, ours = Mesh(), Mesh().worker
    store = ours.server.get_cert_store()
    assert store is not None
    store.add_cert(crypto.X509.from_cryptography(foreign.root.certificate.native))
    forgery = Forgery()
    attacker = raw_context(chain=forgery.by(foreign.issuing), key=forgery.key)
    assert_untrusted(duel(our_server(ours), raw_peer(attacker)))
