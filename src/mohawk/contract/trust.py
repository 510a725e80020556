"""How trust travels between nodes: deny-lists, root sets and fresh certificates (docs/spec/messages.md 7).

Deny-lists and root sets are signed for themselves: whoever carries them, the receiver believes the signature alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from mohawk.contract.checks import require

MAXIMUM_LIST = 48 * 1024
"""Bytes of a deny-list or root set: it must fit a greeting, whose frame holds 64 KiB."""
MAXIMUM_REQUEST = 4096
MAXIMUM_CERTIFICATE = 16 * 1024


@dataclass(frozen=True, slots=True)
class TrustUpdate:
    """Controller to worker: what changed. An empty field says nothing about its subject; `renew`: ask for a fresh
    certificate now (another authority issues them).
    """

    deny_list: bytes = b""
    roots: bytes = b""
    renew: bool = False

    def __post_init__(self) -> None:
        require(max(len(self.deny_list), len(self.roots)) <= MAXIMUM_LIST, "a deny-list or root set that is too long")


@dataclass(frozen=True, slots=True)
class TrustAccepted:
    """Worker to controller: the numbers that it now goes by."""

    deny_list_number: int
    roots_number: int


@dataclass(frozen=True, slots=True)
class RenewalRequest:
    """Worker to controller: a certificate request (PKCS#10, DER) for a key born on the worker."""

    request: bytes

    def __post_init__(self) -> None:
        require(0 < len(self.request) <= MAXIMUM_REQUEST, "a certificate request that is empty or too long")


@dataclass(frozen=True, slots=True)
class RenewalGrant:
    """Controller to worker: leaf and issuing authority, DER."""

    chain: tuple[bytes, ...]

    def __post_init__(self) -> None:
        require(len(self.chain) == 2, "a chain that is not leaf and issuing authority")
        require(all(0 < len(one) <= MAXIMUM_CERTIFICATE for one in self.chain), "a certificate of a wrong size")
