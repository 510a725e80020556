"""A node's standing across restarts: the newest deny-list and root set that it has seen (docs/spec/identity.md 8).

Without it a restart would forget the highest numbers, and an old list could be replayed to a node that just started.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path

from mohawk.crypto import canonical
from mohawk.errors import ArtifactError, HostError, IdentityError
from mohawk.host.files import read_file, write_file
from mohawk.identity.denylist import MAXIMUM_LIST
from mohawk.identity.root_set import MAXIMUM_SET
from mohawk.identity.standing import Standing

_LIMIT = 2 * (MAXIMUM_LIST + MAXIMUM_SET)
_HINT = "if the node was joined anew, remove its trust.json"


def keep_standing(standing: Standing, path: Path, now: datetime) -> None:
    """Learn what was known at the last run, and write down whatever is learnt from now on.

    A list that no longer verifies (its signer expired, its root was retired) leaves its number: nobody is trusted until
    a newer one comes. Raises HostError when what was kept cannot be read: forgetting it silently would be a rollback.
    """
    if path.exists():
        _restore(standing, path, now)
    standing.watch(lambda: save_standing(standing, path))


def _restore(standing: Standing, path: Path, now: datetime) -> None:
    try:
        fields = canonical.decode(read_file(path, _LIMIT), _LIMIT, ("deny_list", "number", "roots"))
        roots, deny_list = fields.blob("roots", MAXIMUM_SET), fields.blob("deny_list", MAXIMUM_LIST)
        standing.deny_list_number = fields.whole("number", 0, 2**63 - 1)
        if roots and standing.roots.number == 0:
            standing.learn_roots(roots, now)
    except (ArtifactError, IdentityError) as error:
        raise HostError(f"what this node knew of revocations cannot be read: {error.message}", hint=_HINT) from None
    if deny_list:
        with suppress(IdentityError):
            standing.learn_deny_list(deny_list, now)


def save_standing(standing: Standing, path: Path) -> None:
    """Write down what is known now. Raises HostError."""
    number, roots = standing.deny_list_number, standing.roots_envelope
    write_file(path, canonical.encode({"deny_list": standing.deny_envelope, "number": number, "roots": roots}))
