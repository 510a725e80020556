"""What surrounds every request: a request id, the API key, a log line, and the last net under all errors.

Rules, and the attack each stops:
- Without a key only /healthz answers; other paths do not even say whether they exist.
- Whatever goes wrong inside, the body that leaves holds no path, key, trace or library's message (I13).
- Logged are only words of our own: the client's path, headers and body are not (I10). Its address is the socket's;
  headers that claim another are never read (Z08).
- Who shows no good key, or one that is not for what it tries, is counted in the audit log, not written line by line.
"""

from __future__ import annotations

import logging
import secrets
import time
from email.utils import formatdate

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mohawk.api.auth import ApiKeys
from mohawk.api.openai import error_body
from mohawk.api.quotas import Quotas
from mohawk.audit.events import AuditEvent, EventKind, NoteEvent
from mohawk.errors import AuthenticationError, LimitError, MohawkError, PermissionDeniedError, UnavailableError

log = logging.getLogger(__name__)

HEALTH = "/healthz"
_NAMES = {HEALTH, "/v1/models", "/v1/chat/completions", "/v1/completions", "/v1/sessions"}
_RETRY_SECONDS = "2"


def error_response(error: MohawkError) -> JSONResponse:
    """An error as an answer of its own."""
    headers = {}
    if isinstance(error, UnavailableError):
        headers["retry-after"] = _RETRY_SECONDS
    if isinstance(error, LimitError):
        headers["retry-after"] = str(error.retry_seconds)
    if isinstance(error, AuthenticationError):
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(error_body(error), error.http_status, headers)


def log_failure(request_id: str, error: Exception) -> None:
    """By class and place, and by message only where we wrote it ourselves: others' may hold a prompt."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else "?"
    message = error.message if isinstance(error, MohawkError) else ""
    log.error("%s failed: %s at %s %s", request_id, type(error).__name__, place, message)


def _common_name(path: str) -> str:
    """Of paths with a name of the client's in them."""
    return next((f"{start}{{id}}" for start in ("/v1/models/", "/v1/sessions/") if path.startswith(start)), "other")


class Envelope:
    """ASGI middleware around the routes."""

    def __init__(self, app: ASGIApp, keys: ApiKeys, quotas: Quotas, note: NoteEvent) -> None:
        self._app = app
        self._keys = keys
        self._quotas = quotas
        self._note = note

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = _Record(scope, send)
        try:
            if scope["path"] != HEALTH:
                self._admit(scope)
            await self._app(scope, receive, record.send)
        except ClientDisconnect:
            record.status = 499
        except MohawkError as error:
            self._note_refusal(error, scope)
            if error.http_status >= 500:
                log_failure(record.request_id, error)
            await record.answer(error, scope, receive)
        except Exception as error:  # noqa: BLE001 - the outermost edge: nothing may leave but our own words
            log_failure(record.request_id, error)
            await record.answer(MohawkError("unexpected"), scope, receive)
        finally:
            record.write()

    def _admit(self, scope: Scope) -> None:
        key = scope["state"]["api_key"] = self._keys.check(scope["headers"])
        self._quotas.count_request(key)

    def _note_refusal(self, error: MohawkError, scope: Scope) -> None:
        """Counted in the audit log: keys that are none, and keys that try what they are not for."""
        source = str((scope.get("client") or ("unknown",))[0])
        details = {"reason": error.code, "source": source}
        if isinstance(error, AuthenticationError):
            self._note(AuditEvent(EventKind.CONNECTION_REFUSED, source, details))
        elif isinstance(error, PermissionDeniedError):
            self._note(AuditEvent(EventKind.ACCESS_REFUSED, f"api-key:{scope['state']['api_key'].name}", details))


class _Record:
    """One request under way."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.request_id = f"req_{secrets.token_hex(16)}"
        self.status = 0
        self._send = send
        self._method = scope["method"] if scope["method"] in {"GET", "HEAD", "POST", "DELETE"} else "other"
        self._path = scope["path"] if scope["path"] in _NAMES else _common_name(scope["path"])
        self._begun = time.monotonic()
        state = scope.setdefault("state", {})
        state["request_id"] = self.request_id
        self._tls_group = state.get("tls_group", "")

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", []), *self._headers()]
        await self._send(message)

    async def answer(self, error: MohawkError, scope: Scope, receive: Receive) -> None:
        """The error as the answer, unless one has begun: then the connection ends without its proper end."""
        if self.status == 0:
            await error_response(error)(scope, receive, self.send)

    def write(self) -> None:
        milliseconds = (time.monotonic() - self._begun) * 1000
        log.info(
            "%s %s %s %d %.0f ms %s",
            *(self.request_id, self._method, self._path, self.status, milliseconds, self._tls_group or "no TLS"),
        )

    def _headers(self) -> list[tuple[bytes, bytes]]:
        headers = [
            (b"date", formatdate(usegmt=True).encode("ascii")),
            (b"x-request-id", self.request_id.encode("ascii")),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        if self._tls_group:
            headers.append((b"x-mohawk-tls-group", self._tls_group.encode("ascii")))
        return headers
