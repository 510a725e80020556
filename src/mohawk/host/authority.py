"""The operator's certificate authority as a folder: roots, issuing authority, deny-list key and publisher key.

Each private key lies beside its certificate in one file, so that no crash can part them. The root's key is needed only
to issue the next issuing authority or the next root: copy `root.key` away and delete it here. The publisher key signs
manifests; workers pin it, controllers never hold it. Nothing leaves here that `requirements.yaml`, the certificate
policy, does not allow (docs/spec/identity.md 10).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from mohawk.audit.events import AuditEvent, EventKind, RecordEvent
from mohawk.crypto import canonical, x509
from mohawk.crypto.signing import PublisherKey, PublisherPins, SigningKey, is_encrypted
from mohawk.errors import ArtifactError, IdentityError, PolicyError, UsageError
from mohawk.host.files import make_private_folder, open_regular, read_file, translate_errors, write_file
from mohawk.host.parsed_file import ParsedFile
from mohawk.host.publisher_file import encode_pins, parse_pins
from mohawk.host.yaml_file import parse_yaml
from mohawk.identity.certificates import (
    ISSUING_LIFETIME,
    LEAF_LIFETIME,
    Authority,
    Leaf,
    issue_api_leaf,
    issue_issuing,
    issue_leaf,
    issue_leaf_for,
    issue_root,
)
from mohawk.identity.credentials import NodeCredentials, bundle
from mohawk.identity.denylist import issue_deny_list_signer
from mohawk.identity.names import IdentityRefusedError, NodeName, Role
from mohawk.identity.policy import BUILT_IN, CertificatePolicy, encode_policy, parse_policy
from mohawk.identity.root_set import RootSet

DEFAULT_DOMAIN = "mohawk.local"
MAXIMUM_FILE = 1 << 17
"""Bytes: keys, certificates and deny-lists are far smaller."""
POLICY = "requirements.yaml"
_HINT = "create one with `mohawk pki init`"


class AuthorityFolder:
    """A folder written by `initialise`. `password` opens its private keys, and encrypts those that are written."""

    def __init__(self, folder: Path, password: bytes | None = None) -> None:
        self.folder = folder
        self._password = password
        self._opened: dict[str, tuple[bytes, SigningKey]] = {}
        """Keys by file, with the bytes that they were read from: a password is made to cost a tenth of a second."""
        self._roots = ParsedFile(folder / "roots.json", self._parse_roots)

    @property
    def exists(self) -> bool:
        return (self.folder / "issuing.pem").exists()

    @property
    def is_encrypted(self) -> bool:
        """Whether its keys ask for a password. False where there is none."""
        return self.exists and is_encrypted(self.read("issuing.pem", private=True))

    @property
    def versions(self) -> Path:
        """The publisher's record of versions."""
        return self.folder / "versions.json"

    @property
    def domain(self) -> str:
        return self.read("domain").decode("ascii", "replace").strip()

    def initialise(self, domain: str, now: datetime, record: RecordEvent = lambda _event: None) -> None:
        """Make all keys, and the certificate policy if there is none yet. On record, with the root's pin, before any
        of them is written (N04).

        Raises UsageError when the folder holds an authority already: overwriting one strands its nodes.
        """
        if self.exists:
            raise UsageError(
                f"{self.folder} holds an authority already", hint="use `mohawk pki show` or another folder"
            )
        NodeName(domain, Role.CONTROLLER, "check")
        make_private_folder(self.folder)
        if not (self.folder / POLICY).exists():
            write_file(self.folder / POLICY, encode_policy(BUILT_IN))
        root = self.new_root(now)
        issuing = self.new_issuing(root, now)
        publisher = PublisherKey.generate()
        record(AuditEvent(EventKind.AUTHORITY_CREATED, domain, {"root": root.certificate.pin}))
        write_file(self.folder / "domain", domain.encode("ascii"))
        self.write_key("root.key", root.key)
        self.write_roots(RootSet(0, (root.certificate,)), b"")
        write_file(self.folder / "publisher.key", publisher.to_pem(self._password))
        write_file(self.folder / "publisher.json", encode_pins(publisher.pins()))
        signer = issue_deny_list_signer(issuing, domain, now)
        self.write_pair("deny-list.pem", signer.chain[0], signer.key)
        self.write_pair("issuing.pem", issuing.certificate, issuing.key)  # last: with it the authority exists

    # ---- what it holds ----------------------------------------------------------------------------------------------

    def issuing(self) -> Authority:
        """The authority that signs leaves. Raises UsageError (there is none, or another password), HostError or
        IdentityError.
        """
        certificate, key = self.read_pair("issuing.pem")
        return Authority(certificate, key, self.root_above(certificate))

    def issuing_certificate(self) -> x509.Certificate:
        """The authority that signs leaves, without its key. Raises UsageError, HostError or IdentityError."""
        return x509.parse_pem(self.read("issuing.pem", private=True))[0]

    def issuing_mark(self) -> tuple[int, int]:
        """Changes when the issuing authority is replaced: cheaper than opening its key to see."""
        with translate_errors("looking at the authority"):
            found = (self.folder / "issuing.pem").stat()
        return found.st_ino, found.st_mtime_ns

    def deny_list_signer(self, now: datetime) -> Leaf:
        """The key that signs deny-lists; made anew when its certificate nears its end or its issuer was replaced."""
        issuing = self.issuing()
        certificate, key = self.read_pair("deny-list.pem")
        if (
            certificate.authority_key_id == issuing.certificate.key_id
            and now + timedelta(days=1) < certificate.not_after
        ):
            return Leaf((certificate, issuing.certificate), key)
        signer = issue_deny_list_signer(issuing, self.domain, now)
        self.write_pair("deny-list.pem", signer.chain[0], signer.key)
        return signer

    def root_set(self) -> RootSet:
        """The roots that nodes of this domain pin. Raises UsageError, HostError or IdentityError."""
        return self._roots.read()[0]

    def roots(self) -> tuple[x509.Certificate, ...]:
        return self.root_set().roots

    def roots_envelope(self) -> bytes:
        """The root set as its roots signed it; empty while it is the one that nodes were first given."""
        return self._roots.read()[1]

    def root_above(self, issuing: x509.Certificate) -> x509.Certificate:
        """The root that signed `issuing`. Raises IdentityError."""
        for root in self.roots():
            if root.key_id == issuing.authority_key_id:
                return root
        raise IdentityError("an issuing authority without its root", hint=_HINT)

    def policy(self) -> CertificatePolicy:
        """What `requirements.yaml` says. Raises UsageError: it weakens, or asks for more than this version can do."""
        path = self.folder / POLICY
        return parse_policy(parse_yaml(self.read(POLICY), POLICY)) if path.exists() else BUILT_IN

    def publisher(self) -> PublisherKey:
        return PublisherKey.from_pem(self.read("publisher.key", private=True), self._password)

    def pins(self) -> PublisherPins:
        return parse_pins(self.read("publisher.json"))

    # ---- issuing, within the policy ---------------------------------------------------------------------------------

    def new_root(self, now: datetime) -> Authority:
        """Raises PolicyError when a root of today would live too short."""
        root = issue_root(now)
        self._check_policy(root.certificate)
        return root

    def new_issuing(self, root: Authority, now: datetime) -> Authority:
        """As short-lived as the policy lets it be."""
        issuing = issue_issuing(root, now, max(ISSUING_LIFETIME, self.policy().authority_lifetime))
        self._check_policy(issuing.certificate, root.certificate)
        return issuing

    def issue_node(self, role: Role, name: str, now: datetime, lifetime: timedelta = LEAF_LIFETIME) -> NodeCredentials:
        """A fresh identity for a node of this domain."""
        leaf = issue_leaf(self.issuing(), NodeName(self.domain, role, name), now, lifetime)
        self._check_policy(*leaf.chain)
        roots = self.root_set()
        return bundle(leaf, roots.roots, roots.number)

    def issue_for(
        self, name: NodeName, spki: bytes, now: datetime, lifetime: timedelta = LEAF_LIFETIME
    ) -> tuple[x509.Certificate, ...]:
        """A chain for a key that was born on the node `name`."""
        chain = issue_leaf_for(self.issuing(), name, spki, now, lifetime)
        self._check_policy(*chain)
        return chain

    def issue_api(self, hosts: tuple[str, ...], now: datetime, lifetime: timedelta = LEAF_LIFETIME) -> Leaf:
        """A fresh certificate for the public API under `hosts`."""
        leaf = issue_api_leaf(self.issuing(), hosts, now, lifetime)
        self._check_policy(*leaf.chain)
        return leaf

    def _check_policy(self, *issued: x509.Certificate) -> None:
        """Raises PolicyError: what was issued, or an authority above it, must not leave this folder."""
        policy = self.policy()
        try:
            for certificate in issued:
                policy.check_key(certificate)
                if certificate.is_authority:
                    policy.check_authority(certificate)
        except IdentityRefusedError as error:
            hint = f"{error.hint}; after a change there, `mohawk pki rotate issuing`"
            raise PolicyError(f"refused by the certificate policy: {error.message}", hint=hint) from None

    # ---- files ------------------------------------------------------------------------------------------------------

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One writer at a time: a controller and an operator's command share this folder."""
        with open_regular(self.folder / "lock", os.O_RDWR | os.O_CREAT) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield

    def read(self, name: str, *, private: bool = False) -> bytes:
        """Raises UsageError where there is no authority: what to do then is to make one, not to check the disk."""
        path = self.folder / name
        if not path.exists():
            raise UsageError(f"{self.folder} holds no authority, or not its {name}", hint=_HINT)
        return read_file(path, MAXIMUM_FILE, private=private)

    def read_key(self, name: str) -> SigningKey:
        return self._open(name, self.read(name, private=True))

    def _open(self, name: str, pem: bytes) -> SigningKey:
        found = self._opened.get(name)
        if found is None or found[0] != pem:
            found = self._opened[name] = (pem, SigningKey.from_pem(pem, self._password))
        return found[1]

    def write_key(self, name: str, key: SigningKey) -> None:
        write_file(self.folder / name, key.to_pem(self._password))

    def read_pair(self, name: str) -> tuple[x509.Certificate, SigningKey]:
        """A certificate and its key. Raises IdentityError when they do not belong together."""
        pem = self.read(name, private=True)
        certificate, *others = x509.parse_pem(pem)
        key = self._open(name, pem)
        if others or key.spki() != certificate.spki:
            raise IdentityError("an authority folder with a broken certificate file", hint=_HINT)
        return certificate, key

    def write_pair(self, name: str, certificate: x509.Certificate, key: SigningKey) -> None:
        write_file(self.folder / name, certificate.pem + key.to_pem(self._password))

    def write_roots(self, roots: RootSet, envelope: bytes) -> None:
        pem = b"".join(root.pem for root in roots.roots)
        document = canonical.encode({"envelope": envelope, "number": roots.number, "roots": pem})
        write_file(self.folder / "roots.json", document)

    def _parse_roots(self) -> tuple[RootSet, bytes]:
        try:
            fields = canonical.decode(self.read("roots.json"), MAXIMUM_FILE, ("envelope", "number", "roots"))
            roots = x509.parse_pem(fields.blob("roots", MAXIMUM_FILE))
            return RootSet(fields.whole("number", 0, 2**63 - 1), roots), fields.blob("envelope", MAXIMUM_FILE)
        except ArtifactError:
            raise IdentityError("an authority folder whose roots cannot be read", hint=_HINT) from None
