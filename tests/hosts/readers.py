"""Many people at once, as a program of its own on a host of its own: each opens a session and reads two answers in it.

    python -m tests.hosts.readers URL ROOT KEY_FILE PEOPLE TOKENS

Greedy, every token as an id. Prints one line of JSON whenever the slowest of them has read ten tokens more
(`{"least": 120}`), and one at the end: for each of them its turns, each with what was read and how it ended.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx

AT_ONCE = 16
"""Handshakes: a server lets one address have 32 half-open connections."""
STEP = 10
PATIENCE_SECONDS = 120.0


@dataclass
class Turn:
    """One answer. `ends`: how often it was said to end, by a reason, an error or the stream's last line."""

    tokens: list[int] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    longest_gap: float = 0.0

    def take(self, data: str) -> None:
        if data == "[DONE]":
            self.ends.append("done")
            return
        event = json.loads(data)
        if "error" in event:
            self.ends.append(str(event["error"]["code"]))
            return
        (choice,) = event["choices"]
        self.tokens += choice.get("token_ids") or []
        if choice["finish_reason"] is not None:
            self.ends.append(choice["finish_reason"])


class Crowd:
    def __init__(self, url: str, root: str, key: str, people: int, tokens: int) -> None:
        self._url = url
        self._context = ssl.create_default_context(cafile=root)
        self._headers = {"authorization": f"Bearer {key}"}
        self._tokens = tokens
        self._turns = [(Turn(), Turn()) for _ in range(people)]
        self._door = asyncio.Semaphore(AT_ONCE)
        self._all_here = asyncio.Barrier(people)
        self._told = 0

    async def read(self) -> list[tuple[Turn, Turn]]:
        async with asyncio.TaskGroup() as group:
            for number in range(len(self._turns)):
                group.create_task(self._person(number))
        return self._turns

    async def _person(self, number: int) -> None:
        client = httpx.AsyncClient(
            verify=self._context, headers=self._headers, trust_env=False, timeout=PATIENCE_SECONDS
        )
        async with client:
            async with self._door:
                (await client.get(self._url + "/models")).raise_for_status()
            session = await client.post(self._url + "/sessions", json={"model": "tiny"})
            session.raise_for_status()
            await self._all_here.wait()
            prompt = [5 + number, 6, 7, 8 + number]
            for turn in self._turns[number]:
                await self._ask(client, session.json()["id"], prompt, turn)
                prompt = [*prompt, *turn.tokens, 9, 10 + number]

    async def _ask(self, client: httpx.AsyncClient, session: str, prompt: list[int], turn: Turn) -> None:
        body = {
            "model": "tiny",
            "session_id": session,
            "prompt": prompt,
            "max_tokens": self._tokens,
            "temperature": 0,
            "stream": True,
            "return_token_ids": True,
        }
        async with client.stream("POST", self._url + "/completions", json=body) as response:
            if response.status_code != 200:
                turn.ends.append((await response.aread()).decode())
                return
            before = time.monotonic()
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    turn.take(line.removeprefix("data: "))
                    before, gap = time.monotonic(), time.monotonic() - before
                    turn.longest_gap = max(turn.longest_gap, gap)
                    self._tell()

    def _tell(self) -> None:
        least = min(sum(len(turn.tokens) for turn in turns) for turns in self._turns)
        if least >= self._told + STEP:
            self._told = least - least % STEP
            print(json.dumps({"least": self._told}), flush=True)


def main(url: str, root: str, key_file: str, people: str, tokens: str) -> None:
    crowd = Crowd(url, root, Path(key_file).read_text(), int(people), int(tokens))
    turns = asyncio.run(crowd.read())
    print(json.dumps({"read": [[asdict(turn) for turn in person] for person in turns]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
