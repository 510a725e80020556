"""H11: a leaf with two URI names: which of them is meant would be the reader's guess.

Expected: rejected.
Defence: identity/certificates.py:_check_leaf (exactly one name); removed, a node reads as worker and controller at
once and its bytes are read.
"""

from __future__ import annotations

import pytest

from mohawk.identity.names import IdentityRefusedError, Reason
from tests.support.tls import DOMAIN, Forgery, Mesh, storm

WORKER, CONTROLLER = f"spiffe://{DOMAIN}/worker/w1", f"spiffe://{DOMAIN}/controller/c1"


@pytest.mark.parametrize(
    "forgery",
    [Forgery(uris=(WORKER, CONTROLLER)), Forgery(uris=(WORKER, WORKER)), Forgery(hosts=("localhost",))],
    ids=["two-names", "one-name-twice", "a-host-beside"],
)
def test_more_than_one_name_is_refused(forgery: Forgery) -> None:
    outcome = storm(Mesh(), forgery)
    assert isinstance(outcome.ours, IdentityRefusedError)
    assert outcome.ours.reason is Reason.ALTERNATIVE_NAMES
    assert outcome.plaintext == b""
