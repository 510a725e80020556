"""Our own client of the API: httpx over the same post-quantum TLS as between nodes, trusting one root only."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import httpx

from mohawk.channel.stdlib_tls import api_client_context
from mohawk.crypto.x509 import parse_pem
from mohawk.errors import MohawkError, RemoteError, UnavailableError

if TYPE_CHECKING:
    import ssl

ANSWER_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class ApiAddress:
    """Where the API is, and how to be let in. `roots`: PEM of the only certificates believed."""

    base_url: str
    key: str = field(repr=False)
    roots: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer. Token ids come only with the option `return_token_ids`; the prompt's with the first
    piece.
    """

    text: str
    tokens: tuple[int, ...] = ()
    prompt: tuple[int, ...] = ()


class ApiClient:
    """A connection pool to one server; `async with`."""

    def __init__(self, address: ApiAddress) -> None:
        context = cast("ssl.SSLContext", api_client_context(parse_pem(address.roots)))
        self._client = httpx.AsyncClient(
            base_url=address.base_url,
            headers={"authorization": f"Bearer {address.key}"},
            verify=context,
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=10.0),
            trust_env=False,  # no proxy of the environment between us and a local server
        )

    async def __aenter__(self) -> ApiClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def model(self) -> str:
        """The id of the model served. Raises MohawkError."""
        response = await self._request("GET", "/models")
        return str(response.json()["data"][0]["id"])

    async def stream_chat(self, messages: list[dict[str, str]], **options: object) -> AsyncIterator[Piece]:
        """The answer in pieces. `options` are the API's own. Raises UnavailableError, RemoteError (the server's own
        words).
        """
        body = {"model": await self.model(), "messages": messages, "stream": True, **options}
        try:
            async with self._client.stream("POST", "/chat/completions", json=body) as response:
                if response.status_code != httpx.codes.OK:
                    await response.aread()
                    raise _refusal(response)
                async for line in response.aiter_lines():
                    if line.startswith("data: ") and line != "data: [DONE]":
                        yield _read_piece(json.loads(line[6:]))
        except httpx.HTTPError as error:
            raise _unreachable(error) from None

    async def _request(self, method: str, path: str) -> httpx.Response:
        try:
            response = await self._client.request(method, path)
        except httpx.HTTPError as error:
            raise _unreachable(error) from None
        if response.status_code != httpx.codes.OK:
            raise _refusal(response)
        return response


def _read_piece(event: dict[str, object]) -> Piece:
    if "error" in event:
        error = cast("dict[str, str]", event["error"])
        raise UnavailableError(f"the answer ended early: {error.get('message', '')}")
    choices = cast("list[dict[str, object]]", event.get("choices") or [{}])
    delta = cast("dict[str, str]", choices[0].get("delta") or {})
    return Piece(
        text=delta.get("content") or "",
        tokens=tuple(cast("list[int]", choices[0].get("token_ids") or ())),
        prompt=tuple(cast("list[int]", choices[0].get("prompt_token_ids") or ())),
    )


def _refusal(response: httpx.Response) -> MohawkError:
    try:
        message = str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = f"HTTP status {response.status_code}"
    return RemoteError(f"the server refused: {message}")


def _unreachable(error: httpx.HTTPError) -> MohawkError:
    return UnavailableError(f"the API cannot be reached ({type(error).__name__})", hint="start it with `mohawk up`")
