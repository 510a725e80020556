"""An identity as two PEM files, as MIE_WORKER_CERT_PATH and MIE_WORKER_KEY_PATH name them (docs/spec/identity.md 5).

The certificate file holds leaf, issuing authority and roots; the key file the leaf's key. Publisher pins and
certificate policy lie beside the certificate, under the names that they have in an identity folder.

Two files cannot be replaced at once. So the key file holds the new key and the old one until the certificate has been
replaced: whenever a crash comes, the key of the certificate that is there is there too.
"""

from __future__ import annotations

from pathlib import Path

from mohawk.crypto.signing import SigningKey, is_encrypted
from mohawk.crypto.x509 import parse_pem
from mohawk.errors import IdentityError
from mohawk.host.authority import MAXIMUM_FILE
from mohawk.host.files import make_private_folder, read_file, write_file
from mohawk.host.identity import NodeIdentity, read_beliefs, write_beliefs
from mohawk.identity.credentials import NodeCredentials


class IdentityFiles:
    """Two files as an `IdentityPlace`."""

    def __init__(self, certificate: Path, key: Path, password: bytes | None = None) -> None:
        self._certificate = certificate
        self._key = key
        self._password = password

    @property
    def is_encrypted(self) -> bool:
        return self._key.exists() and is_encrypted(self._read_key())

    @property
    def trust_file(self) -> Path:
        return self._certificate.with_suffix(".trust.json")

    def read(self) -> NodeIdentity:
        pem = read_file(self._certificate, MAXIMUM_FILE)
        leaf, *others = parse_pem(pem)
        if not others:
            raise IdentityError(
                "a certificate file without its authorities", hint="it holds leaf, issuing authority and root, in PEM"
            )
        credentials = NodeCredentials((leaf, others[0]), self._fitting_key(leaf.spki), tuple(others[1:]))
        return NodeIdentity(credentials, *read_beliefs(self._certificate.parent))

    def write(self, identity: NodeIdentity) -> None:
        for path in (self._certificate, self._key):
            make_private_folder(path.parent)
        write_beliefs(self._certificate.parent, identity)
        self.renew(identity.credentials)

    def renew(self, credentials: NodeCredentials) -> None:
        fresh = credentials.key.to_pem(self._password)
        chain = b"".join(one.pem for one in (*credentials.chain, *credentials.roots))
        if self._key.exists() and self._certificate.exists():
            old = self._fitting_key(parse_pem(read_file(self._certificate, MAXIMUM_FILE))[0].spki)
            write_file(self._key, fresh + old.to_pem(self._password))
        else:
            write_file(self._key, fresh)
        write_file(self._certificate, chain)
        write_file(self._key, fresh)

    def _read_key(self) -> bytes:
        return read_file(self._key, MAXIMUM_FILE, private=True)

    def _fitting_key(self, spki: bytes) -> SigningKey:
        """The certificate's key, of the one or two that the file holds."""
        for key in SigningKey.several_from_pem(self._read_key(), self._password):
            if key.spki() == spki:
                return key
        raise IdentityError("a key file that does not hold the certificate's key", hint="join anew by a token")
