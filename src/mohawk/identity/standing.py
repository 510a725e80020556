"""What one node goes by when it judges others: the roots that it pins and the newest deny-list that it has seen
(docs/spec/identity.md 8).

One value per process, touched by its event loop only. Time is an argument; what is learnt is signed for itself, so it
does not matter who brought it.

Rules, and the attack each stops:
- Without a deny-list of the last 10 minutes nobody is let in: keeping lists from a node gains nothing (H19).
- Numbers only rise, across restarts too (`host.standing_file` keeps them): old lists and sets are history (rollback).
- Whoever watches hears at once: live connections of a revoked node end when the list arrives, not when they happen to
  end (H18).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from mohawk.errors import IdentityError, MohawkError
from mohawk.identity.certificates import PeerIdentity
from mohawk.identity.denylist import DenyList, accept_deny_list, stale
from mohawk.identity.root_set import RootSet, accept_roots

Watcher = Callable[[], None]


class Standing:
    """`roots`: as the node was given them. It starts without a deny-list, hence trusting nobody."""

    __slots__ = ("_watchers", "deny_envelope", "deny_list", "deny_list_number", "domain", "roots", "roots_envelope")

    def __init__(self, roots: RootSet, domain: str) -> None:
        self.roots = roots
        self.domain = domain
        self.deny_list: DenyList | None = None
        self.deny_list_number = 0
        """The highest ever seen: nothing below it is learnt, whether or not that list is still known."""
        self.deny_envelope = b""
        """The newest list as it was signed: what we pass on in greetings."""
        self.roots_envelope = b""
        self._watchers: set[Watcher] = set()

    def learn_deny_list(self, envelope: bytes, now: datetime) -> None:
        """Go by this list from now on; one that we have already is skipped. Raises IdentityError."""
        if envelope == self.deny_envelope:
            return
        self._go_by(self._accept(envelope, self.deny_list_number, now), envelope)

    def hear(self, envelope: bytes, now: datetime) -> None:
        """A list from a greeting: gone by when it is newer than ours, skipped when it is older (its sender was alone).

        Raises IdentityError: it is no list of this domain.
        """
        if not envelope or envelope == self.deny_envelope:
            return
        found = self._accept(envelope, 0, now)
        if found.number > self.deny_list_number:
            self._go_by(found, envelope)

    def learn_roots(self, envelope: bytes, now: datetime) -> bool:
        """Pin this set from now on; True when it was news. Raises IdentityError."""
        if envelope == self.roots_envelope:
            return False
        known = self.roots
        # a node that was named after a rotation pins a set that it has not seen signed: seeing it is no news
        seen = known.number if self.roots_envelope or not known.number else known.number - 1
        found = accept_roots(envelope, RootSet(seen, known.roots), now)
        if found.number == known.number and found.pins != known.pins:
            raise IdentityError("another root set of the number that ours has")
        self.roots, self.roots_envelope = found, envelope
        self._tell()
        return found.number > known.number

    def refuse(self, peer: PeerIdentity) -> None:
        """Raises IdentityRefusedError(REVOKED) when the newest list names this peer."""
        if self.deny_list is not None:
            self.deny_list.refuse(peer)

    def judge(self, peer: PeerIdentity, now: datetime) -> None:
        """A new connection's peer. Raises IdentityRefusedError: revoked, or nobody can know (our list is too old)."""
        if self.deny_list is None:
            raise stale()
        self.deny_list.check_fresh(now)
        self.deny_list.refuse(peer)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """`watcher` is called after each change; what is returned ends that."""
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)

    def _accept(self, envelope: bytes, highest: int, now: datetime) -> DenyList:
        return accept_deny_list(envelope, roots=self.roots.roots, domain=self.domain, highest=highest, now=now)

    def _go_by(self, deny_list: DenyList, envelope: bytes) -> None:
        self.deny_list, self.deny_list_number, self.deny_envelope = deny_list, deny_list.number, envelope
        self._tell()

    def _tell(self) -> None:
        """Everybody, also when one of them fails (a disk that is full keeps no number): a revoked peer is cut first."""
        failure: MohawkError | None = None
        for watcher in tuple(self._watchers):
            try:
                watcher()
            except MohawkError as error:
                failure = error
        if failure is not None:
            raise failure
