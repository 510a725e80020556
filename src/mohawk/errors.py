"""Every error Mohawk raises on purpose, sorted by whose fault it is.

A message says what happened in one sentence, a hint says what to do next. Neither ever holds a peer's bytes, a key or a
prompt: an attacker who can choose what we print can forge log lines, and a secret that reaches a terminal has left our
care.

The class decides the exit code of the command line and the status of the HTTP API, so that no caller maps errors a
second time.
"""

from __future__ import annotations

from typing import ClassVar


class MohawkError(Exception):
    """Root of all deliberate errors. `message` is for people, `code` for programs."""

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, *, hint: str = "", field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.field = field


class UsageError(MohawkError):
    """Our caller's fault: a wrong argument, setting or request."""

    exit_code = 2
    http_status = 400
    code = "invalid_request"


class TooLargeError(UsageError):
    """A request beyond a published size limit."""

    http_status = 413
    code = "request_too_large"


class NotFoundError(UsageError):
    """The caller names something that does not exist (or that it may not know to exist)."""

    http_status = 404
    code = "not_found"


class AuthenticationError(UsageError):
    """The caller did not show a valid API key."""

    exit_code = 4
    http_status = 401
    code = "invalid_api_key"


class PermissionDeniedError(UsageError):
    """The caller's API key is valid, and not for this."""

    exit_code = 4
    http_status = 403
    code = "permission_denied"


class ConflictError(UsageError):
    """The same request is under way."""

    http_status = 409
    code = "request_in_progress"


class RepeatedKeyError(UsageError):
    """An idempotency key that stood for another request."""

    http_status = 422
    code = "idempotency_key_reused"


class LimitError(UsageError):
    """The caller has used up what is its own. `retry_seconds`: until when there will be some again."""

    exit_code = 6
    http_status = 429
    code = "rate_limit_exceeded"

    def __init__(self, message: str, retry_seconds: int) -> None:
        super().__init__(message, hint=f"try again in {retry_seconds} s")
        self.retry_seconds = retry_seconds


class RemoteError(MohawkError):
    """The peer's fault: bytes or messages that the protocol does not allow. Parsers raise this and nothing else."""

    exit_code = 3
    http_status = 502
    code = "peer_protocol_error"


class HandshakeError(RemoteError):
    """The TLS handshake failed or ended with something other than our profile."""

    code = "handshake_failed"


class IdentityError(RemoteError):
    """The peer proved an identity that is expired, malformed, of another domain, role or name."""

    exit_code = 4
    code = "identity_refused"


class FrameError(RemoteError):
    """A frame that is malformed or beyond its limit; the connection is closed."""

    code = "bad_frame"


class MessageError(RemoteError):
    """A well-framed message that the contract does not allow here."""

    code = "bad_message"


class ArtifactError(RemoteError):
    """A model folder, manifest or sealed slice that is broken, truncated or altered."""

    exit_code = 5
    http_status = 500
    code = "broken_artifact"


class PolicyError(MohawkError):
    """Nothing is broken and nobody lied: our own policy says no."""

    exit_code = 4
    http_status = 403
    code = "refused_by_policy"


class UntrustedArtifactError(PolicyError):
    """A manifest that is unsigned, signed by a publisher we do not pin, or older than one already seen."""

    code = "untrusted_artifact"


class UnsupportedModelError(PolicyError):
    """A model that we refuse to run: remote code, pickled weights, or a family that fails the self-test."""

    exit_code = 5
    code = "unsupported_model"


class UnavailableError(MohawkError):
    """Bad luck: a peer is gone, slow or full. Trying again later may help."""

    exit_code = 6
    http_status = 503
    code = "unavailable"


class WorkerLostError(UnavailableError):
    """A worker that holds a needed slice died, froze or was cut off."""

    code = "worker_lost"


class ChainBrokenError(UnavailableError):
    """A worker lost its connection to the stage behind it."""

    code = "chain_broken"


class HostError(UnavailableError):
    """This machine's fault: disk full, file missing or unreadable, no permission."""

    code = "host_error"
