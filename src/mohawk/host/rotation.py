"""Replacing what signs: the issuing authority, and the root, without a visit to any node (docs/spec/identity.md 7).

A root is replaced in three steps, each a command, so that every node pins the new root before anything signed under it
appears, and drops the old one only when nothing signed under it is left:

1. introduce: a new root and an issuing authority under it; nodes pin both roots.
2. activate: new certificates come from the new issuing authority; nodes renew theirs.
3. retire: nodes pin the new root only.

Each step ends with one rename; one that was interrupted is simply done again. Each is on record, with the key that it
brings in or leaves alone, before anything of it is written (N04).
"""

from __future__ import annotations

from datetime import datetime

from mohawk.audit.events import AuditEvent, EventKind, RecordEvent
from mohawk.crypto.signing import SigningKey
from mohawk.errors import UsageError
from mohawk.host.authority import AuthorityFolder
from mohawk.identity.certificates import Authority
from mohawk.identity.root_set import RootSet, sign_roots

_NEXT_KEY = "root-next.key"
_NEXT_ISSUING = "issuing-next.pem"


def rotate_issuing(authority: AuthorityFolder, now: datetime, record: RecordEvent) -> None:
    """A new issuing authority under the same root. Raises UsageError when the root's key is not here."""
    with authority.locked():
        old = authority.issuing()
        assert old.above is not None  # an issuing authority has a root
        fresh = authority.new_issuing(Authority(old.above, _root_key(authority)), now)
        record(AuditEvent(EventKind.ISSUING_ROTATED, authority.domain, {"issuing": fresh.certificate.pin}))
        authority.write_pair("issuing.pem", fresh.certificate, fresh.key)


def introduce_root(authority: AuthorityFolder, now: datetime, record: RecordEvent) -> RootSet:
    """Step 1. Raises UsageError when a rotation is under way already, or the root's key is not here."""
    with authority.locked():
        roots = authority.root_set()
        if len(roots.roots) != 1:
            raise UsageError("a new root was introduced already", hint="go on with `mohawk pki rotate activate`")
        current = Authority(roots.roots[0], _root_key(authority))
        fresh = authority.new_root(now)
        issuing = authority.new_issuing(fresh, now)
        both = RootSet(roots.number + 1, (current.certificate, fresh.certificate))
        record(_change(authority, "introduced", both, fresh.certificate.pin))
        authority.write_key(_NEXT_KEY, fresh.key)
        authority.write_pair(_NEXT_ISSUING, issuing.certificate, issuing.key)
        authority.write_roots(both, sign_roots(both.number, both.roots, (current, fresh)))
        return both


def activate_root(authority: AuthorityFolder, record: RecordEvent) -> None:
    """Step 2. Raises UsageError before step 1."""
    with authority.locked():
        path = authority.folder / _NEXT_ISSUING
        if len(authority.root_set().roots) != 2 or not path.exists():
            raise UsageError("there is no new root to activate", hint="begin with `mohawk pki rotate introduce`")
        certificate, key = authority.read_pair(_NEXT_ISSUING)
        record(AuditEvent(EventKind.ISSUING_ROTATED, authority.domain, {"issuing": certificate.pin}))
        authority.write_pair("issuing.pem", certificate, key)
        path.unlink()


def retire_root(authority: AuthorityFolder, record: RecordEvent) -> RootSet:
    """Step 3. Raises UsageError while the old root's issuing authority is still in use."""
    with authority.locked():
        roots = authority.root_set()
        if len(roots.roots) != 2 or authority.issuing().above != roots.roots[1]:
            raise UsageError("the new root is not in use yet", hint="first `mohawk pki rotate activate`")
        fresh = Authority(roots.roots[1], authority.read_key(_NEXT_KEY))
        alone = RootSet(roots.number + 1, (fresh.certificate,))
        record(_change(authority, "retired", alone, roots.roots[0].pin))
        authority.write_roots(alone, sign_roots(alone.number, alone.roots, (fresh,)))
        (authority.folder / _NEXT_KEY).replace(authority.folder / "root.key")
        return alone


def _change(authority: AuthorityFolder, verb: str, after: RootSet, pin: str) -> AuditEvent:
    """`introduced` or `retired`: the root of this pin."""
    return AuditEvent(EventKind.ROOTS_CHANGED, authority.domain, {"number": str(after.number), verb: pin})


def _root_key(authority: AuthorityFolder) -> SigningKey:
    """The current root's key; after a crash in step 3 it still lies under its other name."""
    next_key = authority.folder / _NEXT_KEY
    if next_key.exists() and authority.read_key(_NEXT_KEY).spki() == authority.roots()[0].spki:
        next_key.replace(authority.folder / "root.key")
    if not (authority.folder / "root.key").exists():
        raise UsageError(
            "the root's key is not in this folder", hint="copy root.key back for this step, then away again"
        )
    return authority.read_key("root.key")
