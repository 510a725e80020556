"""Streams over the real API that go on while something happens to the cluster."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx

from mohawk.contract.messages import WorkerState
from tests.support.folders import change_config
from tests.support.models import build_model


class Served(Protocol):
    """A cluster that serves: `Up`, or one on several hosts. `root`: whom to trust."""

    @property
    def url(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def root(self) -> str: ...
    @property
    def model(self) -> str: ...
    def status(self) -> dict[str, Any]: ...


def build_endless(folder: Path, context: int, layers: int = 6) -> Path:
    """A random model with a long context and no token that ends an answer: a stream ends when it is ended."""
    build_model(folder, "llama", layers=layers)
    change_config(folder, max_position_embeddings=context, eos_token_id=None)
    (folder / "generation_config.json").unlink()
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    del tokenizer["eos_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return folder


def client(up: Served, timeout: float = 30) -> httpx.Client:
    context = ssl.create_default_context(cafile=up.root)
    headers = {"authorization": f"Bearer {up.key}"}
    return httpx.Client(base_url=up.url, verify=context, headers=headers, trust_env=False, timeout=timeout)


def events(response: httpx.Response) -> Iterator[dict[str, object]]:
    for line in response.iter_lines():
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line[6:])


@dataclass
class Stream:
    """One answer as its reader saw it: tokens, when each came, and the error it ended with."""

    prompt: list[int]
    tokens: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    error: dict[str, object] | None = None

    @property
    def longest_gap(self) -> float:
        return max((b - a for a, b in zip(self.times, self.times[1:], strict=False)), default=0.0)

    def take(self, event: dict[str, object]) -> None:
        if "error" in event:
            self.error = event["error"]  # type: ignore[assignment]
            return
        (choice,) = event["choices"]  # type: ignore[misc]
        new = choice.get("token_ids") or []  # type: ignore[attr-defined]
        self.tokens += new
        self.times += [time.monotonic()] * len(new)


class Streams:
    """Several answers at once, each read by a thread of its own."""

    def __init__(self, up: Served, prompts: list[list[int]], tokens: int, **more: object) -> None:
        self._up = up
        self._body = {"model": up.model, "max_tokens": tokens, "temperature": 0} | {
            "stream": True,
            "return_token_ids": True,
            **more,
        }
        self.streams = [Stream(prompt) for prompt in prompts]
        self._is_left = False
        self._threads = [threading.Thread(target=self._read, args=(stream,)) for stream in self.streams]
        for thread in self._threads:
            thread.start()

    def wait_for(self, tokens: int, seconds: float = 60) -> None:
        """Until every stream has so many tokens."""
        deadline = time.monotonic() + seconds
        while any(len(stream.tokens) < tokens and stream.error is None for stream in self.streams):
            assert time.monotonic() < deadline, [len(stream.tokens) for stream in self.streams]
            time.sleep(0.005)

    def finish(self, seconds: float = 120) -> list[Stream]:
        for thread in self._threads:
            thread.join(seconds)
            assert not thread.is_alive()
        return self.streams

    def leave(self) -> list[Stream]:
        """Whatever was read until now; the answers are cancelled."""
        self._is_left = True
        return self.finish()

    def _read(self, stream: Stream) -> None:
        with (
            client(self._up, timeout=60) as http,
            http.stream("POST", "/completions", json=self._body | {"prompt": stream.prompt}) as response,
        ):
            if response.status_code != 200:
                stream.error = json.loads(response.read())["error"]
                return
            for event in events(response):
                stream.take(event)
                if self._is_left:
                    return


def wait_for_spares(up: Served, count: int, seconds: float = 60) -> None:
    """Until so many stand by with a stage that they hold ready."""
    deadline = time.monotonic() + seconds
    while (
        sum(
            worker["is_spare"] and worker["state"] == WorkerState.READY and bool(worker["run_id"])
            for worker in up.status()["workers"]
        )
        < count
    ):
        assert time.monotonic() < deadline, up.status()["workers"]
        time.sleep(0.2)
