"""Work is done while its client is there and its key is good."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from mohawk.api.auth import ApiKeys
from mohawk.errors import AuthenticationError, HostError

KEY_SECONDS = 3.0
"""How often the key of an answer under way is looked up again."""

Stop = Callable[[Exception], None]
"""Ends a piece of work, for this reason."""


class KeyWatch:
    """Looks the keys of all answers under way up again and again: each of them once, however many answers it gets."""

    def __init__(self, keys: ApiKeys) -> None:
        self._keys = keys
        self._stops: defaultdict[bytes, set[Stop]] = defaultdict(set)
        """By the key's digest; one that is here has a timer."""

    @contextmanager
    def watching(self, digest: bytes, stop: Stop) -> Iterator[None]:
        """`stop` is told the AuthenticationError when the key of `digest` is revoked or expires meanwhile."""
        if digest not in self._stops:
            self._wait(digest)
        self._stops[digest].add(stop)
        try:
            yield
        finally:
            self._stops[digest].discard(stop)

    def _wait(self, digest: bytes) -> None:
        asyncio.get_running_loop().call_later(KEY_SECONDS, self._look, digest)

    def _look(self, digest: bytes) -> None:
        stops = self._stops[digest]
        if not stops:
            del self._stops[digest]
            return
        self._wait(digest)
        try:
            self._keys.require(digest)
        except HostError:
            pass  # a disk that fails for a moment revokes nothing; the next request hears of it
        except AuthenticationError as error:
            for stop in stops:
                stop(error)


async def while_present(receive: Receive, watch: KeyWatch, digest: bytes, work: Coroutine[Any, Any, None]) -> None:
    """Do `work`. When the client leaves meanwhile, or its key is revoked or expires: ClientDisconnect,
    AuthenticationError, with the work cancelled and ended.
    """
    reasons: list[Exception] = []
    task = asyncio.create_task(work)  # each resumption walks a coroutine's callers: those of a request are many

    def stop(reason: Exception) -> None:
        if not reasons:
            reasons.append(reason)
            task.cancel()

    leaving, ours = asyncio.create_task(_wait_until_gone(receive, stop)), asyncio.current_task()
    try:
        with watch.watching(digest, stop):
            await task  # when we are cancelled, so is it
    except asyncio.CancelledError:
        if not reasons or (ours is not None and ours.cancelling()):
            raise
        raise reasons[0] from None
    finally:
        leaving.cancel()


async def _wait_until_gone(receive: Receive, stop: Stop) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stop(ClientDisconnect())
