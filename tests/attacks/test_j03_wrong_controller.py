"""J03: somebody else answers at the address of a join token: a controller of another trust domain, one whose root has
another key, a worker of the right domain, a leaf that has expired, a bare certificate; or TLS that is weaker than ours.

Expected: the joiner ends the handshake; its request, and so its proof, never leaves.

Defence: channel/join_tls.py:ExpectedController._judge_verdict (the pin, before anything else) and :_judge_server (pin,
dates, domain and role, after OpenSSL); removed, a machine takes its identity, roots and publisher from whoever listens there.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from OpenSSL import SSL

from mohawk.channel.join_tls import ExpectedController
from mohawk.channel.profile import MIE_JOIN
from mohawk.channel.stdlib_tls import ApiContext
from mohawk.errors import MohawkError
from mohawk.identity.certificates import Leaf, issue_api_leaf, issue_leaf
from mohawk.identity.names import IdentityRefusedError, Reason, Role
from mohawk.transport.joining import ask_to_join
from tests.support.nodes import last_words, run
from tests.support.tls import DOMAIN, Forgery, Mesh, leaf_pair, raw_context, utc_now

MESH = Mesh()
CONTROLLER = MESH.name(Role.CONTROLLER, "c1")


def impostor(chain: tuple[object, ...], key: object, **weaker: object) -> SSL.Context:
    """A server that shows `chain` and keeps only the rules that `weaker` leaves."""
    options = {"alpn": (b"mie-join/1",)} | weaker
    return raw_context(is_server=True, chain=chain, key=key, **options)  # type: ignore[arg-type]


def shown(leaf: Leaf, *others: object) -> tuple[tuple[object, ...], object]:
    chain, key = leaf_pair(leaf)
    return (*chain, *(others or (MESH.root.certificate.native,))), key


def meet(context: SSL.Context) -> MohawkError:
    """The joiner's error, after it met a server with this context. Fails when its request left."""
    left: list[bytes] = []

    async def main() -> MohawkError:
        received = bytearray()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.extend(await reader.read(1000))
            writer.transport.abort()

        server = await asyncio.start_server(
            serve, "127.0.0.1", 0, ssl=ApiContext(context, MIE_JOIN), ssl_handshake_timeout=5
        )
        expected = ExpectedController(MESH.root.certificate.pin, DOMAIN, utc_now())
        port = server.sockets[0].getsockname()[1]
        try:
            with pytest.raises(MohawkError) as refusal:
                await ask_to_join(("127.0.0.1", port), expected, lambda exporter: left.append(b"") or b"secret proof")
        finally:
            server.close()
        assert left == [], "the request was not even made"
        assert received == b""
        assert expected.peer is None
        return refusal.value

    return run(main)


def reason(context: SSL.Context) -> Reason:
    error = meet(context)
    assert isinstance(error, IdentityRefusedError), error
    return error.reason


def test_the_right_one_would_be_asked() -> None:
    """What the impostors below differ from."""
    chain, key = shown(issue_leaf(MESH.issuing, CONTROLLER, utc_now()))
    with pytest.raises(AssertionError, match="not even made"):
        meet(impostor(chain, key))


def test_a_controller_of_another_domain() -> None:
    other = Mesh("other.example")
    leaf = issue_leaf(other.issuing, other.name(Role.CONTROLLER, "c1"), utc_now())
    assert reason(impostor(*shown(leaf, other.root.certificate.native))) is Reason.UNTRUSTED_ROOT


def test_the_same_names_under_another_key() -> None:
    other = Mesh()
    leaf = issue_leaf(other.issuing, CONTROLLER, utc_now())
    assert reason(impostor(*shown(leaf, other.root.certificate.native))) is Reason.UNTRUSTED_ROOT
    assert reason(impostor(*shown(leaf))) is Reason.UNTRUSTED_ROOT  # the right root, under which it is not


def test_the_pin_comes_first() -> None:
    """Nothing else of a stranger's chain is looked at: not even its dates."""
    foreign = Mesh()
    late = issue_leaf(foreign.issuing, CONTROLLER, utc_now() - timedelta(days=3))
    assert reason(impostor(*shown(late, foreign.root.certificate.native))) is Reason.UNTRUSTED_ROOT


def test_no_root_at_all() -> None:
    chain, key = leaf_pair(issue_leaf(MESH.issuing, CONTROLLER, utc_now()))
    assert reason(impostor(chain, key)) is Reason.UNTRUSTED_ROOT


@pytest.mark.parametrize("role", [Role.WORKER, Role.OPERATOR])
def test_another_role_of_the_right_domain(role: Role) -> None:
    assert reason(impostor(*shown(issue_leaf(MESH.issuing, MESH.name(role, "c1"), utc_now())))) is Reason.WRONG_ROLE


def test_a_foreign_name_under_the_right_root() -> None:
    leaf = issue_leaf(MESH.issuing, Mesh("other.example").name(Role.CONTROLLER, "c1"), utc_now())
    assert reason(impostor(*shown(leaf))) is Reason.FOREIGN_DOMAIN


def test_an_expired_controller() -> None:
    leaf = issue_leaf(MESH.issuing, CONTROLLER, utc_now() - timedelta(days=2))
    assert reason(impostor(*shown(leaf))) is Reason.EXPIRED


def test_the_api_s_certificate() -> None:
    leaf = issue_api_leaf(MESH.issuing, ("127.0.0.1",), utc_now())
    assert reason(impostor(*shown(leaf))) is Reason.EXTENDED_KEY_USAGE


def test_a_leaf_that_a_leaf_signed() -> None:
    worker = issue_leaf(MESH.issuing, MESH.name(), utc_now())
    forged = Forgery(uris=(str(CONTROLLER),))
    leaf = forged.sign(worker.chain[0].native, worker.key.private)
    chain = (leaf, *(one.native for one in worker.chain), MESH.root.certificate.native)
    assert isinstance(meet(impostor(chain, forged.key)), MohawkError)


@pytest.mark.parametrize(
    "weaker",
    [
        {"groups": "X25519"},
        {"suites": "TLS_AES_256_GCM_SHA384"},
        {"version": SSL.TLS1_2_VERSION, "groups": "X25519"},
        {"alpn": (b"mie/1",)},
        {"alpn": ()},
    ],
)
def test_weaker_tls_or_another_protocol(weaker: dict[str, object]) -> None:
    chain, key = shown(issue_leaf(MESH.issuing, CONTROLLER, utc_now()))
    meet(impostor(chain, key, **weaker))


def test_plain_tcp() -> None:
    async def main() -> None:
        done = asyncio.Event()

        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 welcome\r\n")
            await asyncio.wait({asyncio.ensure_future(last_words(reader))})
            writer.transport.abort()
            done.set()

        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        expected = ExpectedController(MESH.root.certificate.pin, DOMAIN, utc_now())
        with pytest.raises(MohawkError):
            await ask_to_join(("127.0.0.1", server.sockets[0].getsockname()[1]), expected, lambda exporter: b"")
        await done.wait()
        server.close()

    run(main)
