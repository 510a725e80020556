"""Identities on disk: what `mohawk pki issue` and `mohawk worker join` write, and nodes that are started by hand read
(docs/spec/identity.md 5).

A folder holds one node: its bundle, the publisher that it believes, its certificate policy, and what it knows of
revocations. The bundle is one file, so that no crash can part a certificate from its key; the form with two files is
`host.identity_files`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mohawk.crypto.signing import PublisherPins, SigningKey, is_encrypted
from mohawk.crypto.x509 import Certificate, parse_pem
from mohawk.errors import UsageError
from mohawk.host.authority import MAXIMUM_FILE, POLICY
from mohawk.host.files import make_private_folder, read_file, write_file
from mohawk.host.publisher_file import encode_pins, parse_pins
from mohawk.host.yaml_file import read_yaml
from mohawk.identity.certificates import Leaf
from mohawk.identity.credentials import NodeCredentials, encode, parse
from mohawk.identity.policy import BUILT_IN, CertificatePolicy, encode_policy, parse_policy

_IDENTITY = "identity.json"
PUBLISHER = "publisher.json"
_TRUST = "trust.json"
_API_CHAIN = "api.pem"
_API_KEY = "api.key"
_ROOTS = "root.pem"
MAXIMUM_KEY = 1024
"""Bytes of an API key's file."""


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """Who a node is, and whom it believes."""

    credentials: NodeCredentials
    pins: PublisherPins
    policy: CertificatePolicy = BUILT_IN


class IdentityPlace(Protocol):
    """Where a node's identity lies. A password opens its key, and encrypts the key that is written."""

    @property
    def is_encrypted(self) -> bool:
        """Whether the key asks for a password. False where there is none."""

    @property
    def trust_file(self) -> Path:
        """Where the newest deny-list and roots are remembered (`host.standing_file`)."""

    def read(self) -> NodeIdentity:
        """Raises HostError, PolicyError (others may read the key), IdentityError, UsageError."""

    def write(self, identity: NodeIdentity) -> None:
        """A new identity, in place of any. Raises HostError."""

    def renew(self, credentials: NodeCredentials) -> None:
        """Fresh credentials for the same node; a crash leaves the old ones or the new. Raises HostError."""


class IdentityFolder:
    """A folder as an `IdentityPlace`."""

    def __init__(self, folder: Path, password: bytes | None = None) -> None:
        self.folder = folder
        self._password = password

    @property
    def is_encrypted(self) -> bool:
        path = self.folder / _IDENTITY
        return path.exists() and is_encrypted(read_file(path, MAXIMUM_FILE, private=True))

    @property
    def trust_file(self) -> Path:
        return self.folder / _TRUST

    def read(self) -> NodeIdentity:
        credentials = parse(read_file(self.folder / _IDENTITY, MAXIMUM_FILE, private=True), self._password)
        return NodeIdentity(credentials, *read_beliefs(self.folder))

    def write(self, identity: NodeIdentity) -> None:
        make_private_folder(self.folder)
        write_beliefs(self.folder, identity)
        self.renew(identity.credentials)

    def renew(self, credentials: NodeCredentials) -> None:
        write_file(self.folder / _IDENTITY, encode(credentials, self._password))


def read_beliefs(folder: Path) -> tuple[PublisherPins, CertificatePolicy]:
    """What lies beside an identity: whose manifests its node believes, and what it demands of certificates. Without a
    policy file the built-in one holds. Raises HostError, IdentityError, UsageError.
    """
    policy = folder / POLICY
    pins = parse_pins(read_file(folder / PUBLISHER, MAXIMUM_FILE))
    return pins, parse_policy(read_yaml(policy)) if policy.exists() else BUILT_IN


def write_beliefs(folder: Path, identity: NodeIdentity) -> None:
    write_file(folder / PUBLISHER, encode_pins(identity.pins))
    write_file(folder / POLICY, encode_policy(identity.policy))


def write_node_identity(
    folder: Path,
    credentials: NodeCredentials,
    pins: PublisherPins,
    policy: CertificatePolicy = BUILT_IN,
    password: bytes | None = None,
) -> None:
    """The identity, its key in clear without a password, with what this node will believe."""
    IdentityFolder(folder, password).write(NodeIdentity(credentials, pins, policy))


def read_node_identity(folder: Path, password: bytes | None = None) -> NodeCredentials:
    """Raises HostError, PolicyError (others may read the key), IdentityError."""
    return IdentityFolder(folder, password).read().credentials


def read_publisher_pins(folder: Path) -> PublisherPins:
    return parse_pins(read_file(folder / PUBLISHER, MAXIMUM_FILE))


def write_api_identity(folder: Path, leaf: Leaf, roots: tuple[Certificate, ...], password: bytes | None = None) -> None:
    """The API's certificate and key, with the roots that its clients verify against."""
    make_private_folder(folder)
    write_file(folder / _API_CHAIN, b"".join(certificate.pem for certificate in leaf.chain))
    write_file(folder / _API_KEY, leaf.key.to_pem(password))
    write_file(folder / _ROOTS, b"".join(root.pem for root in roots))


def is_api_identity_encrypted(folder: Path) -> bool:
    """Whether its key asks for a password. Raises HostError, PolicyError."""
    return is_encrypted(read_file(folder / _API_KEY, MAXIMUM_FILE, private=True))


def read_api_identity(folder: Path, password: bytes | None = None) -> Leaf:
    """Raises HostError, IdentityError, UsageError."""
    chain = parse_pem(read_file(folder / _API_CHAIN, MAXIMUM_FILE))
    pem = read_file(folder / _API_KEY, MAXIMUM_FILE, private=True)
    return Leaf(chain, SigningKey.from_pem(pem, password))


def read_api_key(path: Path) -> str:
    """The API key in a 0600 file. Raises HostError, PolicyError (others may read it), UsageError."""
    key = read_file(path, MAXIMUM_KEY, private=True).strip()
    if not key or not key.isascii() or not key.decode("ascii").isprintable():
        raise UsageError(f"{path.name} holds no API key", hint="one line of printable ASCII")
    return key.decode("ascii")
