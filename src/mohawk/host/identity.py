"""Identities as folders: what `mohawk pki issue` writes and what nodes started by hand read."""

from __future__ import annotations

from pathlib import Path

from mohawk.crypto.signing import PublisherPins, SigningKey
from mohawk.crypto.x509 import Certificate, parse_pem
from mohawk.errors import UsageError
from mohawk.host.authority import MAXIMUM_FILE, encode_pins, parse_pins
from mohawk.host.files import make_private_folder, read_file, write_file
from mohawk.identity.certificates import Leaf
from mohawk.identity.credentials import NodeCredentials, encode, parse

_IDENTITY = "identity.json"
_PUBLISHER = "publisher.json"
_API_CHAIN = "api.pem"
_API_KEY = "api.key"
_ROOTS = "root.pem"
MAXIMUM_KEY = 1024
"""Bytes of an API key's file."""


def write_node_identity(folder: Path, credentials: NodeCredentials, pins: PublisherPins) -> None:
    """The identity, with the publisher that this node will believe."""
    make_private_folder(folder)
    write_file(folder / _IDENTITY, encode(credentials))
    write_file(folder / _PUBLISHER, encode_pins(pins))


def read_node_identity(folder: Path) -> NodeCredentials:
    """Raises HostError, PolicyError (others may read the key), IdentityError."""
    return parse(read_file(folder / _IDENTITY, MAXIMUM_FILE, private=True))


def read_publisher_pins(folder: Path) -> PublisherPins:
    return parse_pins(read_file(folder / _PUBLISHER, MAXIMUM_FILE))


def write_api_identity(folder: Path, leaf: Leaf, roots: tuple[Certificate, ...]) -> None:
    """The API's certificate and key, with the roots that its clients verify against."""
    make_private_folder(folder)
    write_file(folder / _API_CHAIN, b"".join(certificate.pem for certificate in leaf.chain))
    write_file(folder / _API_KEY, leaf.key.to_pem())
    write_file(folder / _ROOTS, b"".join(root.pem for root in roots))


def read_api_identity(folder: Path) -> Leaf:
    """Raises HostError, IdentityError, UsageError."""
    chain = parse_pem(read_file(folder / _API_CHAIN, MAXIMUM_FILE))
    return Leaf(chain, SigningKey.from_pem(read_file(folder / _API_KEY, MAXIMUM_FILE, private=True)))


def read_api_key(path: Path) -> str:
    """The API key in a 0600 file. Raises HostError, PolicyError (others may read it), UsageError."""
    key = read_file(path, MAXIMUM_KEY, private=True).strip()
    if not key or not key.isascii() or not key.decode("ascii").isprintable():
        raise UsageError(f"{path.name} holds no API key", hint="one line of printable ASCII")
    return key.decode("ascii")
