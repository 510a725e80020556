"""A request's body: bounded while it is read, strict when it is parsed.

Rules, and the attack each stops:
- 10 MiB, by the announced length before a byte is read and by counting while reading: a length may lie or be missing.
- No compression: a small body cannot become a large one.
- The shared strict JSON: a bound on values, no key twice, no NaN, no nesting beyond the parser's depth (I01, I02).
- No half of a surrogate pair: such text cannot be encoded again, and would fail in the middle of somebody else's code.
"""

from __future__ import annotations

import json
import re

from starlette.requests import Request

from mohawk.artifact.strict_json import JsonObject, parse_object
from mohawk.errors import ArtifactError, TooLargeError, UsageError

MAXIMUM_BODY = 10 << 20
MAXIMUM_VALUES = 1 << 20
"""Also commas and brackets inside text count: a longer prompt fits no model."""
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


async def read_body(request: Request, limit: int = MAXIMUM_BODY) -> bytes:
    """All of the body. Raises TooLargeError, UsageError; starlette's ClientDisconnect when the client leaves."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UsageError("send the body without compression", field="content-encoding")
    announced = request.headers.get("content-length", "0")
    too_large = TooLargeError(f"a request body may have at most {limit} bytes")
    # h11 has checked that it is a number of at most 20 digits
    if int(announced) > limit:
        raise too_large
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise too_large
    return bytes(body)


def parse_body(data: bytes) -> JsonObject:
    """The JSON object in `data`. Raises UsageError on anything else."""
    try:
        document = parse_object(data, limit=MAXIMUM_BODY, tokens=MAXIMUM_VALUES)
        if _SURROGATE.search(data):
            json.dumps(document, ensure_ascii=False).encode("utf-8")
    except ArtifactError as error:
        raise UsageError(f"the request body is {error.message}") from None
    except (UnicodeEncodeError, RecursionError):
        raise UsageError("the request body holds text with half of a surrogate pair") from None
    return document
