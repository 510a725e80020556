"""Who of a chain that broke is replaced, when everybody still answers the controller.

What workers say of each other decides who is replaced, never what is believed; by which rules a liar gains little,
`planning.links` says.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

from mohawk.controller.cluster import Cluster
from mohawk.controller.member import Member
from mohawk.controller.pipeline import NeighbourSilentError
from mohawk.planning.links import BrokenLinks, choose_end
from mohawk.planning.repair import find_holdup

CONFIRM_SECONDS = 0.3
"""In which the other end of a broken link complains too, or turns out to be lost itself: both count the same beats, and
so do we.
"""


class Blame:
    """Complaints about the route that is set, and which links were broken before."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._links = BrokenLinks()
        self._complaints: list[NeighbourSilentError] = []
        self._news = asyncio.Event()

    def look_again(self) -> None:
        """Something else happened: a worker may be gone."""
        self._news.set()

    def hear(self, complaint: NeighbourSilentError) -> bool:
        """Whether it is about the route that is set."""
        if complaint.epoch != self._cluster.epoch:
            return False
        self._complaints.append(complaint)
        return True

    async def judge(self) -> list[Member]:
        """Who has to go for the complaints that were heard. Waits a moment for whoever may complain too."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONFIRM_SECONDS):
                while not self._is_clear():
                    self._news.clear()
                    await self._news.wait()
        complaints, self._complaints = self._current(), []
        links: dict[tuple[Member, Member], set[str]] = {}
        guilty = []
        for complaint in complaints:
            complainer, pair = self._find(complaint)
            if pair is None:
                guilty.append(complainer)  # about a neighbour that it does not have
            elif not any(end.is_gone for end in pair):
                links.setdefault(pair, set()).add(complaint.worker)
        for member in self._sentence(links):
            if member not in guilty:
                guilty.append(member)
        return guilty

    def find_holdup(self, step: int) -> Member:
        """Whoever holds this step back, or did not pass it on."""
        members = self._cluster.members
        late = next((member for member in members if member.is_late), None)
        stage = find_holdup(step, [member.last_step for member in members])
        if late is not None or stage == 0:
            return late or members[0]
        return self._choose(members[stage - 1], members[stage], set())

    def in_the_way(self, stage: int) -> Member:
        """Of a stage that could not be routed and the one behind it, the one that is at fault."""
        members = self._cluster.members
        if members[stage].is_gone or stage + 1 == len(members):
            return members[stage]
        behind = members[stage + 1]
        if behind.is_gone or behind.is_late:
            return behind
        return self._choose(members[stage], behind, {members[stage].name})

    def is_cut_off(self, worker: str, stage: int) -> bool:
        """Whether this worker and a neighbour that it would have there lost each other before."""
        now, members = time.monotonic(), self._cluster.members
        beside = members[max(0, stage - 1) : stage] + members[stage + 1 : stage + 2]
        return any(self._links.is_broken(worker, member.name, now) for member in beside)

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _is_clear(self) -> bool:
        """Of every broken link both ends complained, or one is lost."""
        found = [self._find(complaint) for complaint in self._current()]
        heard = {(member.name, pair) for member, pair in found}
        return all(
            pair is None or any(end.is_gone for end in pair) or all((end.name, pair) in heard for end in pair)
            for _, pair in found
        )

    def _current(self) -> list[NeighbourSilentError]:
        """About the route that is set, by those who still have a place in it."""
        here = {member.name for member in self._cluster.members}
        return [one for one in self._complaints if one.epoch == self._cluster.epoch and one.worker in here]

    def _find(self, complaint: NeighbourSilentError) -> tuple[Member, tuple[Member, Member] | None]:
        """Who complains, and the link; None: there is none on that side."""
        members = self._cluster.members
        stage = next(index for index, member in enumerate(members) if member.name == complaint.worker)
        first = stage if complaint.is_next else stage - 1
        if not 0 <= first < len(members) - 1:
            return members[stage], None
        return members[stage], (members[first], members[first + 1])

    def _sentence(self, links: dict[tuple[Member, Member], set[str]]) -> Iterator[Member]:
        """One end of each link; whoever does not answer us either is the lost one."""
        now = time.monotonic()
        whole = [pair for pair in links if not any(end.is_late for end in pair)]
        for before, behind in whole:
            self._links.remember(before.name, behind.name, now)
        gone: set[str] = set()
        for (before, behind), complaining in links.items():
            late = [end for end in (before, behind) if end.is_late]
            if not late and not gone & {before.name, behind.name}:
                late = [self._choose(before, behind, complaining)]
            gone |= {member.name for member in late}
            yield from late

    def _choose(self, before: Member, behind: Member, complaining: set[str]) -> Member:
        now = time.monotonic()
        self._links.remember(before.name, behind.name, now)
        chosen = choose_end(before.name, behind.name, complaining, self._links, now)
        return before if chosen == before.name else behind
