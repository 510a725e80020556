"""Who a node is: `spiffe://<domain>/<role>/<name>`, parsed strictly (docs/spec/identity.md 1).

Rules, and the attack each stops:
- One spelling per identity: lower case, no escapes, no query, no trailing slash. Two spellings of one name pass a
  deny-list once.
- Exactly one role and one name under the domain: a root path, or a longer one, names nobody that we know (H12).
- The domain is compared whole: `mesh.example` is not a suffix match for `evil-mesh.example`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from mohawk.errors import IdentityError, RemoteError, UsageError
from mohawk.ids import check_node_name

_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*", re.ASCII)
_MAXIMUM_DOMAIN = 255
_SCHEME = "spiffe://"


class Role(StrEnum):
    """What a node may be. Which role may ask what is decided where the question arrives."""

    CONTROLLER = "controller"
    WORKER = "worker"
    CLIENT = "client"
    OPERATOR = "operator"
    AUDITOR = "auditor"


class Reason(StrEnum):
    """Why an identity was refused; for programs and audit entries, so the words are stable."""

    MISSING = "missing_certificate"
    UNREADABLE = "unreadable_certificate"
    BROKEN_CHAIN = "broken_chain"
    UNTRUSTED_ROOT = "untrusted_root"
    WEAK_KEY = "weak_key"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    LIFETIME = "lifetime_too_long"
    AUTHORITY = "bad_authority"
    KEY_USAGE = "bad_key_usage"
    EXTENDED_KEY_USAGE = "bad_extended_key_usage"
    ALTERNATIVE_NAMES = "bad_alternative_names"
    MALFORMED_NAME = "malformed_name"
    FOREIGN_DOMAIN = "foreign_domain"
    WRONG_ROLE = "wrong_role"
    WRONG_NAME = "wrong_name"
    REVOKED = "revoked"
    STALE = "stale_deny_list"
    POLICY = "against_policy"


class IdentityRefusedError(IdentityError):
    """An identity that we do not accept, with the reason as a value; `peer`: who it is, where that was proven."""

    def __init__(self, reason: Reason, message: str, *, hint: str = "", peer: NodeName | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        self.peer = peer


@dataclass(frozen=True, slots=True)
class NodeName:
    """A node's SPIFFE id; `str()` gives its only spelling. Raises UsageError when built from what no id can hold."""

    domain: str
    role: Role
    name: str

    def __post_init__(self) -> None:
        check_domain(self.domain)
        try:
            check_node_name(self.name)
        except RemoteError as error:
            raise UsageError(error.message, hint=error.hint, field="name") from None

    def __str__(self) -> str:
        return f"{_SCHEME}{self.domain}/{self.role}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> NodeName:
        """`spiffe://mesh.example/worker/w1` -> NodeName. Raises IdentityRefusedError(MALFORMED_NAME)."""
        parts = text.removeprefix(_SCHEME).split("/")
        if not text.startswith(_SCHEME) or len(parts) != 3:
            raise _malformed()
        try:
            return cls(parts[0], Role(parts[1]), parts[2])
        except (UsageError, ValueError):
            raise _malformed() from None


def parse_role(text: str) -> Role:
    """A role as a person typed it. Raises UsageError."""
    try:
        return Role(text)
    except ValueError:
        raise UsageError("not a role", hint=f"use one of: {', '.join(Role)}", field="role") from None


def check_domain(text: str) -> str:
    """A trust domain: lower-case DNS labels, at most 255 characters. Raises UsageError."""
    if len(text) > _MAXIMUM_DOMAIN or _DOMAIN.fullmatch(text) is None:
        raise UsageError(
            "not a trust domain", hint="use lower-case DNS labels, for example mesh.example", field="domain"
        )
    return text


def _malformed() -> IdentityRefusedError:
    return IdentityRefusedError(
        Reason.MALFORMED_NAME,
        "a certificate that does not name a node",
        hint="a node's id reads spiffe://<domain>/<role>/<name>; issue the certificate with `mohawk pki issue`",
    )
