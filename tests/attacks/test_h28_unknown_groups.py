"""H28: configuration names an unknown group, an empty list, or a list that OpenSSL would quietly widen.

Expected: the process refuses to start.
Defence: channel/profile.py:Profile (plain words) and channel/openssl.py:set_groups (return value); removed, the
process starts, with OpenSSL's own group list in force, classical groups included.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from mohawk.channel.profile import MIE_API, MIE_DEFAULT, NodeContext, Profile
from mohawk.channel.stdlib_tls import api_client_context
from mohawk.errors import UsageError
from tests.support.tls import Mesh

BAD = [
    (),
    ("",),
    ("X25519MLKEM786",),
    ("X25519MLKEM768", "NOPE"),
    ("?NOPE", "X25519"),
    ("DEFAULT",),
    ("X25519MLKEM768:X25519",),
    ("X25519MLKEM768/X25519",),
    ("X25519MLKEM768\n",),
]


@pytest.mark.parametrize("groups", BAD)
@pytest.mark.parametrize("profile", [MIE_DEFAULT, MIE_API])
def test_a_group_list_that_is_not_exact_does_not_start(profile: Profile, groups: tuple[str, ...]) -> None:
    mesh = Mesh()
    with pytest.raises(UsageError):
        NodeContext(mesh.credentials(), replace(profile, groups=groups))
    with pytest.raises(UsageError):
        api_client_context((mesh.root.certificate,), replace(profile, groups=groups))
