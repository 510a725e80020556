"""I12: a client names URLs where models, images, tools, adapters and hosts may be named, of a server of its own -> that
server never hears of us: nothing is fetched for a client.

Defence: api/schema.py:_part_text and Strict._keep_supported (what could be fetched is refused), api/app.py:_check_model
(a model is compared, never looked up elsewhere); removed, an image part reaches code that was written for text.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.api.serving import PATIENCE, RawClient, raw_client, request_bytes, serving
from tests.api.toy import KEY, ToyEngine, chat


def bodies(url: str) -> list[tuple[str, dict[str, Any], set[int]]]:
    """Route, body, and what may be answered."""
    image = [{"type": "image_url", "image_url": {"url": url}}]
    text = [{"type": "text", "text": f"![x]({url})"}]
    route, session = "/v1/chat/completions", "/v1/sessions"
    return [
        (route, chat(model=url), {404}),
        (route, chat(messages=[{"role": "user", "content": image}]), {400}),
        (route, chat(messages=[{"role": "user", "content": text}]), {200}),
        (route, chat(messages=[{"role": "user", "content": url}]), {200}),
        (route, chat(images=[url]), {400}),
        (route, chat(web_search_options={"url": url}), {400}),
        (route, chat(lora_request={"path": url}), {400}),
        (route, chat(session_id=url[:64]), {404}),
        (route, chat(metadata={"callback": url}), {200}),
        (route, chat(user=url), {200}),
        ("/v1/completions", {"model": "toy", "prompt": url}, {200}),
        (session, {"model": url}, {404}),
        (session, {"model": "toy", "webhook": url}, {400}),
        (session, {"model": "toy", "routing": {"to": url}}, {201}),
    ]


@pytest.mark.parametrize("scheme", ["http", "https", "ftp", "gopher"])
def test_nothing_is_fetched(scheme: str) -> None:
    heard: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1))
        writer.close()

    async def main() -> None:
        canary = await asyncio.start_server(hear, "127.0.0.1", 0)
        url = f"{scheme}://127.0.0.1:{canary.sockets[0].getsockname()[1]}/latest/meta-data"
        async with canary, serving(ToyEngine()) as server, raw_client(server.port) as client:
            for path, body, expected in bodies(url):
                await client.send(request_bytes(body, path=path))
                status, _, text = await client.answer()
                assert status in expected, (path, body, text)
            for head in (f"GET {url}", f"GET /v1/models/{url}", f"POST {url}"):
                await ask(client, head, url)
            await ask(client, "GET /v1/models", url)
        assert heard == []

    asyncio.run(asyncio.wait_for(main(), 3 * PATIENCE))


async def ask(client: RawClient, head: str, url: str) -> None:
    """Absolute request targets, and a Host and Referer that lead elsewhere."""
    host = url.partition("//")[2].partition("/")[0]
    await client.send(
        f"{head} HTTP/1.1\r\nhost: {host}\r\nreferer: {url}\r\nx-forwarded-host: {host}\r\n"
        f"authorization: Bearer {KEY}\r\ncontent-length: 0\r\n\r\n".encode()
    )
    status, headers, _ = await client.answer()
    assert status in (200, 400, 404, 405)
    assert "location" not in headers
