"""`mohawk chat`: talk to the running server from the terminal."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from mohawk.cli.output import write_text
from mohawk.cli.places import Places
from mohawk.cli.shell import client_environment

if TYPE_CHECKING:
    from mohawk.client.openai import ApiAddress, ApiClient

MessageList = list[dict[str, str]]


def chat(
    prompt: Annotated[list[str] | None, typer.Argument(help="One question; without it, a conversation.")] = None,
    temperature: Annotated[float, typer.Option(min=0.0, max=2.0, help="0: always the most likely token.")] = 0.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 512,
) -> None:
    """Ask the running server (started by `mohawk up`); answers stream."""
    options: dict[str, object] = {"temperature": temperature, "max_tokens": max_tokens}
    question = " ".join(prompt) if prompt else None
    asyncio.run(_talk(read_address(Places.load()), question, options))


def read_address(places: Places) -> ApiAddress:
    """Where `mohawk up` serves. Raises UnavailableError."""
    from mohawk.client.openai import ApiAddress
    from mohawk.host.files import read_file

    environment = client_environment(places)
    roots = read_file(places.api_root, 1 << 16)
    return ApiAddress(environment["OPENAI_BASE_URL"], environment["OPENAI_API_KEY"], roots)


async def _talk(address: ApiAddress, question: str | None, options: dict[str, object]) -> None:
    from mohawk.client.openai import ApiClient

    async with ApiClient(address) as client:
        if question is not None:
            await _answer(client, [{"role": "user", "content": question}], options)
            return
        history: MessageList = []
        while (line := await asyncio.to_thread(_read_line)) is not None:
            if line:
                history.append({"role": "user", "content": line})
                history.append({"role": "assistant", "content": await _answer(client, history, options)})


async def _answer(client: ApiClient, messages: MessageList, options: dict[str, object]) -> str:
    text = ""
    async for piece in client.stream_chat(messages, **options):
        text += piece.text
        write_text(piece.text)
    write_text("\n")
    return text


def _read_line() -> str | None:
    """The next line of the conversation; None at its end."""
    try:
        return input("> " if sys.stdin.isatty() else "").strip()
    except EOFError:
        return None
