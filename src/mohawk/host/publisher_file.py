"""`publisher.json`: whose manifests a node believes, as two pins. Public, and copied beside every identity."""

from __future__ import annotations

import json
from dataclasses import asdict

from mohawk.crypto.signing import PublisherPins
from mohawk.errors import IdentityError


def encode_pins(pins: PublisherPins) -> bytes:
    """Pins as a small JSON document; they are public."""
    return json.dumps(asdict(pins)).encode("ascii")


def parse_pins(data: bytes) -> PublisherPins:
    """The inverse of `encode_pins`. Raises IdentityError."""
    try:
        document = json.loads(data)
        return PublisherPins(p384=str(document["p384"]), mldsa65=str(document["mldsa65"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise IdentityError("a publisher file that cannot be read", hint="copy publisher.json again") from None
