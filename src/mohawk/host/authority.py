"""The operator's certificate authority as a folder: root, issuing authority and publisher key.

The root's key is needed only to issue the next issuing authority: copy `root.key` away and delete it here. The
publisher key signs manifests; workers pin it, controllers never hold it.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path

from mohawk.crypto import x509
from mohawk.crypto.signing import PublisherKey, PublisherPins, SigningKey
from mohawk.errors import IdentityError, UsageError
from mohawk.host.files import make_private_folder, read_file, write_file
from mohawk.identity.certificates import (
    LEAF_LIFETIME,
    Authority,
    Leaf,
    issue_api_leaf,
    issue_issuing,
    issue_leaf,
    issue_root,
)
from mohawk.identity.credentials import NodeCredentials, bundle
from mohawk.identity.names import NodeName, Role

DEFAULT_DOMAIN = "mohawk.local"
MAXIMUM_FILE = 1 << 16
"""Bytes: keys and certificates are far smaller."""
_HINT = "create one with `mohawk pki init`"


class AuthorityFolder:
    """A folder written by `initialise`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def exists(self) -> bool:
        return (self.folder / "issuing.key").exists()

    @property
    def versions(self) -> Path:
        """The publisher's record of versions."""
        return self.folder / "versions.json"

    @property
    def domain(self) -> str:
        return self._read("domain").decode("ascii", "replace").strip()

    def initialise(self, domain: str, now: datetime) -> None:
        """Make all keys. Raises UsageError when the folder holds an authority already: overwriting one strands its
        nodes."""
        if self.exists:
            raise UsageError(
                f"{self.folder} holds an authority already", hint="use `mohawk pki show` or another folder"
            )
        NodeName(domain, Role.CONTROLLER, "check")
        make_private_folder(self.folder)
        root = issue_root(now)
        issuing = issue_issuing(root, now)
        publisher = PublisherKey.generate()
        write_file(self.folder / "domain", domain.encode("ascii"))
        write_file(self.folder / "root.key", root.key.to_pem())
        write_file(self.folder / "root.pem", root.certificate.pem)
        write_file(self.folder / "publisher.key", publisher.to_pem())
        write_file(self.folder / "publisher.json", encode_pins(publisher.pins()))
        write_file(self.folder / "issuing.pem", issuing.certificate.pem)
        write_file(self.folder / "issuing.key", issuing.key.to_pem())

    def issuing(self) -> Authority:
        """The authority that signs leaves. Raises UsageError (there is none), HostError or IdentityError."""
        try:
            (root,) = self.roots()
            (certificate,) = x509.parse_pem(self._read("issuing.pem"))
        except ValueError:
            raise IdentityError("an authority folder with a broken certificate file", hint=_HINT) from None
        return Authority(certificate, SigningKey.from_pem(self._read("issuing.key", private=True)), root)

    def roots(self) -> tuple[x509.Certificate, ...]:
        """The roots that nodes of this domain pin."""
        return x509.parse_pem(self._read("root.pem"))

    def publisher(self) -> PublisherKey:
        return PublisherKey.from_pem(self._read("publisher.key", private=True))

    def pins(self) -> PublisherPins:
        return parse_pins(self._read("publisher.json"))

    def issue_node(self, role: Role, name: str, now: datetime, lifetime: timedelta = LEAF_LIFETIME) -> NodeCredentials:
        """A fresh identity for a node of this domain."""
        leaf = issue_leaf(self.issuing(), NodeName(self.domain, role, name), now, lifetime)
        return bundle(leaf, self.roots())

    def issue_api(self, hosts: tuple[str, ...], now: datetime, lifetime: timedelta = LEAF_LIFETIME) -> Leaf:
        """A fresh certificate for the public API under `hosts`."""
        return issue_api_leaf(self.issuing(), hosts, now, lifetime)

    def _read(self, name: str, *, private: bool = False) -> bytes:
        """Raises UsageError where there is no authority: what to do then is to make one, not to check the disk."""
        path = self.folder / name
        if not path.exists():
            raise UsageError(f"{self.folder} holds no authority, or not its {name}", hint=_HINT)
        return read_file(path, MAXIMUM_FILE, private=private)


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
