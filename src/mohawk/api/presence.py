"""Work is done while its client is there and its key is good."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from mohawk.api.auth import ApiKeys
from mohawk.errors import HostError

KEY_SECONDS = 3.0
"""How often the key of an answer under way is looked up again."""


async def while_present(receive: Receive, keys: ApiKeys, scope: Scope, work: Coroutine[Any, Any, None]) -> None:
    """Do `work`. When the client leaves meanwhile, or its key is revoked or expires: ClientDisconnect,
    AuthenticationError, with the work cancelled and ended.
    """
    task = asyncio.create_task(work)
    ends = (asyncio.create_task(_wait_until_gone(receive)), asyncio.create_task(_wait_until_invalid(keys, scope)))
    try:
        await asyncio.wait({task, *ends}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            next(end for end in ends if end.done()).result()
    finally:
        for one in (task, *ends):
            one.cancel()
        await asyncio.gather(task, *ends, return_exceptions=True)
    task.result()


async def _wait_until_gone(receive: Receive) -> None:
    """Raises ClientDisconnect then."""
    while (await receive())["type"] != "http.disconnect":
        pass
    raise ClientDisconnect


async def _wait_until_invalid(keys: ApiKeys, scope: Scope) -> None:
    """Raises AuthenticationError then."""
    while True:
        await asyncio.sleep(KEY_SECONDS)
        with suppress(HostError):  # a disk that fails for a moment revokes nothing; the next request hears of it
            keys.check(scope["headers"])
