"""A trust domain for tests, and raw OpenSSL peers that keep none of our rules."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

from cryptography import x509 as lib
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL, crypto
from OpenSSL._util import lib as native

from mohawk.channel.profile import MIE_DEFAULT, NodeContext, Profile
from mohawk.channel.tls import TlsConnection
from mohawk.crypto import x509
from mohawk.errors import MohawkError
from mohawk.identity.certificates import Authority, Leaf, issue_issuing, issue_leaf, issue_root
from mohawk.identity.credentials import NodeCredentials, bundle
from mohawk.identity.denylist import Denial, issue_deny_list, issue_deny_list_signer
from mohawk.identity.names import NodeName, Role
from mohawk.identity.root_set import RootSet
from mohawk.identity.standing import Standing

DOMAIN = "mesh.example"
BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
SECRET = b"application bytes that must not arrive"


def utc_now() -> datetime:
    return datetime.now(UTC)


class Mesh:
    """A root, an issuing authority and whatever nodes a test names."""

    def __init__(self, domain: str = DOMAIN, age: timedelta = timedelta(0)) -> None:
        self.domain = domain
        self.root = issue_root(utc_now() - age)
        self.issuing = issue_issuing(self.root, utc_now() - age)

    def name(self, role: Role = Role.WORKER, name: str = "w1") -> NodeName:
        return NodeName(self.domain, role, name)

    def credentials(self, role: Role = Role.WORKER, name: str = "w1") -> NodeCredentials:
        return bundle(issue_leaf(self.issuing, self.name(role, name), utc_now()), (self.root.certificate,))

    def context(self, role: Role = Role.WORKER, name: str = "w1", profile: Profile = MIE_DEFAULT) -> NodeContext:
        return NodeContext(self.credentials(role, name), profile, self.standing())

    def standing(self) -> Standing:
        """Of a node that has just heard a deny-list with nobody on it."""
        standing = Standing(RootSet(0, (self.root.certificate,)), self.domain)
        standing.learn_deny_list(self.deny_list(1), utc_now())
        return standing

    def deny_list(self, number: int, *subjects: str, age: timedelta = timedelta(0)) -> bytes:
        now = utc_now()
        return issue_deny_list(self.deny_signer, number, [Denial(subject, now) for subject in subjects], now - age)

    @cached_property
    def deny_signer(self) -> Leaf:
        return issue_deny_list_signer(self.issuing, self.domain, utc_now())

    @cached_property
    def worker(self) -> NodeContext:
        return self.context(Role.WORKER, "w1")

    @cached_property
    def controller(self) -> NodeContext:
        return self.context(Role.CONTROLLER, "c1")


PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass
class Forgery:
    """A certificate that keeps only the rules a test asks for; defaults are those of a good leaf."""

    uris: tuple[str, ...] = (f"spiffe://{DOMAIN}/worker/w1",)
    hosts: tuple[str, ...] = ()
    purposes: tuple[lib.ObjectIdentifier, ...] = BOTH
    is_authority: bool = False
    path_length: int | None = None
    critical_usage: bool = True
    usages: tuple[str, ...] = ("digital_signature",)
    start: timedelta = timedelta(minutes=-5)
    end: timedelta = timedelta(hours=24)
    key: PrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP384R1()))
    digest: hashes.HashAlgorithm = field(default_factory=hashes.SHA384)
    extra: lib.ExtensionType | None = None

    def sign(self, issuer: lib.Certificate | None, signer: PrivateKey) -> lib.Certificate:
        name = lib.Name([lib.NameAttribute(NameOID.COMMON_NAME, "forged")])
        now = utc_now().replace(microsecond=0)
        public = self.key.public_key()
        key_id = lib.SubjectKeyIdentifier.from_public_key(public)
        authority = lib.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = (
            lib.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer.subject if issuer else name)
            .public_key(public)
            .serial_number(lib.random_serial_number())
            .not_valid_before(now + self.start)
            .not_valid_after(now + self.end)
            .add_extension(lib.BasicConstraints(self.is_authority, self.path_length), critical=True)
            .add_extension(_usage(self.usages), critical=self.critical_usage)
            .add_extension(key_id, critical=False)
            .add_extension(authority, critical=False)
        )
        names = [*map(lib.UniformResourceIdentifier, self.uris), *map(lib.DNSName, self.hosts)]
        if names:
            builder = builder.add_extension(lib.SubjectAlternativeName(names), critical=False)
        if self.purposes:
            builder = builder.add_extension(lib.ExtendedKeyUsage(list(self.purposes)), critical=False)
        if self.extra is not None:
            builder = builder.add_extension(self.extra, critical=True)
        ed = isinstance(signer, ed25519.Ed25519PrivateKey)
        return builder.sign(signer, None if ed else self.digest)

    def by(self, authority: Authority) -> tuple[lib.Certificate, ...]:
        """The chain that TLS sends: this certificate and its issuer."""
        issuer = authority.certificate.native
        return (self.sign(issuer, authority.key.private), issuer)


AUTHORITY_USAGES = ("key_cert_sign", "crl_sign")


def _usage(names: tuple[str, ...]) -> lib.KeyUsage:
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return lib.KeyUsage(**{name: name in names for name in every})


def facts(*chain: lib.Certificate) -> tuple[x509.Certificate, ...]:
    return tuple(x509.from_native(one) for one in chain)


def leaf_pair(leaf: Leaf) -> tuple[tuple[lib.Certificate, ...], PrivateKey]:
    return tuple(one.native for one in leaf.chain), leaf.key.private


def raw_context(
    *,
    is_server: bool = False,
    chain: tuple[lib.Certificate, ...] = (),
    key: PrivateKey | None = None,
    groups: str = "X25519MLKEM768",
    suites: str = "TLS_CHACHA20_POLY1305_SHA256",
    signatures: str = "",
    alpn: tuple[bytes, ...] = (b"mie/1",),
    version: int = SSL.TLS1_3_VERSION,
) -> SSL.Context:
    """An OpenSSL context that verifies nobody: the attacker's end."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD if is_server else SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    assert native.SSL_CTX_set1_curves_list(context._context, groups.encode()) == 1
    if signatures:
        assert native.SSL_CTX_set1_sigalgs_list(context._context, signatures.encode()) == 1
    if version == SSL.TLS1_3_VERSION:
        context.set_tls13_ciphersuites(suites.encode())
    context.set_verify(SSL.VERIFY_NONE)
    if chain:
        context.use_certificate(chain[0])
        for issuer in chain[1:]:
            context.add_extra_chain_cert(issuer)
        assert key is not None
        context.use_privatekey(key)
    if alpn and is_server:
        context.set_alpn_select_callback(lambda _connection, offered: alpn[0])
    elif alpn:
        context.set_alpn_protos(list(alpn))
    return context


def demand_client_certificate(context: SSL.Context) -> SSL.Context:
    """An attacker's server that asks for a certificate and takes any."""
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    return context


@dataclass
class Outcome:
    """What each side saw. `plaintext`: application bytes that our side gave out."""

    ours: MohawkError | None = None
    theirs: str | None = None
    plaintext: bytes = b""
    wire: bytes = b""
    """All bytes that our side sent."""

    @property
    def is_refused(self) -> bool:
        return self.ours is not None and self.plaintext == b""


def raw_peer(context: SSL.Context, *, is_server: bool = False) -> SSL.Connection:
    connection = SSL.Connection(context, None)
    if is_server:
        connection.set_accept_state()
    else:
        connection.set_connect_state()
    return connection


def duel(ours: TlsConnection, theirs: SSL.Connection, now: datetime | None = None) -> Outcome:
    """Run both ends against each other; the attacker sends application bytes as soon as its handshake lets it."""
    outcome, sent = Outcome(), False
    for _ in range(12):
        try:
            theirs.do_handshake()
            if not sent:
                theirs.send(SECRET)
                sent = True
            theirs.recv(1 << 16)
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            outcome.theirs = outcome.theirs or repr(error)
        pump_in(ours, theirs, outcome, now or utc_now())
        reply = ours.outgoing()
        outcome.wire += reply
        if reply:
            theirs.bio_write(reply)
    return outcome


def pump_in(ours: TlsConnection, theirs: SSL.Connection, outcome: Outcome, now: datetime) -> None:
    """Everything the attacker has to say, into our end; then whatever plaintext our end is willing to give."""
    try:
        while True:
            try:
                ours.receive(theirs.bio_read(1 << 14))
            except SSL.WantReadError:
                break
        if outcome.ours is None and ours.handshake(now) is not None:
            target = bytearray(1 << 16)
            count = ours.read_into(target)
            outcome.plaintext += bytes(target[:count])
    except MohawkError as error:
        outcome.ours = outcome.ours or error


def accept_all(_peer: object) -> None:
    """A judge for tests of what comes before judging."""


def our_server(context: NodeContext) -> TlsConnection:
    return TlsConnection(context, accept_all, is_server=True)


def our_client(context: NodeContext) -> TlsConnection:
    return TlsConnection(context, accept_all, is_server=False)


def freeze_store(context: NodeContext, when: datetime) -> None:
    """OpenSSL judges time by `when`, so that only our own check stands (production never does this)."""
    for one in (context.server, context.client):
        store = one.get_cert_store()
        assert isinstance(store, crypto.X509Store)
        store.set_time(when.replace(tzinfo=None))


def connect_pair(client: NodeContext, server: NodeContext) -> tuple[TlsConnection, TlsConnection]:
    """Two ends of ours with a finished handshake."""
    ends = our_client(client), our_server(server)
    for _ in range(4):
        for here, there in (ends, ends[::-1]):
            here.handshake(utc_now())
            data = here.outgoing()
            if data:
                there.receive(data)
    assert all(end.session is not None for end in ends)
    return ends


def storm(mesh: Mesh, forgery: Forgery | None = None, context: NodeContext | None = None, **raw: object) -> Outcome:
    """A client with `forgery`'s certificate, signed by the mesh's real authority, attacks a worker of ours."""
    forgery = forgery or Forgery()
    attacker = raw_context(chain=forgery.by(mesh.issuing), key=forgery.key, **raw)  # type: ignore[arg-type]
    return duel(our_server(context or mesh.worker), raw_peer(attacker))


def lenient(mesh: Mesh, *signatures: str) -> NodeContext:
    """A worker whose OpenSSL would take these signatures too, so that only our own checks stand."""
    algorithms = (*MIE_DEFAULT.signature_algorithms, *signatures)
    return mesh.context(profile=replace(MIE_DEFAULT, signature_algorithms=algorithms))
