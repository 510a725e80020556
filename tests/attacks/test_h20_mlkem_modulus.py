"""H20: a client's ML-KEM key fails the modulus check of FIPS 203 7.2: coefficients of 3,329 and above.

Expected: illegal_parameter and the end of the connection, without a byte of ours; the listener serves the next one.
Defence: OpenSSL checks the key (no other implementation, and no key exchange of our own: channel/profile.py:new_context);
channel/tls.py:TlsConnection.handshake makes its refusal ours, and transport/link.py:Link._shake_hands sends the alert;
removed, an error of OpenSSL's leaves through the event loop and the connection stays open.
"""

from __future__ import annotations

import pytest

from mohawk.errors import HandshakeError
from tests.support.hello import COEFFICIENTS, ClientHello, alert_of, client_hello
from tests.support.nodes import LOOPS, Recorder, call, last_words, run, serving, stranger
from tests.support.tls import Mesh, our_server, utc_now

ILLEGAL_PARAMETER = 47
FIRST, MIDDLE, LAST = 0, COEFFICIENTS // 2, COEFFICIENTS - 3
"""Where two coefficients lie, in three bytes."""


def spoil(hello: ClientHello, place: int, value: int) -> ClientHello:
    """The two coefficients at `place` become `value`."""
    two = (value | value << 12).to_bytes(3, "little")
    return hello.with_share(hello.share[:place] + two + hello.share[place + 3 :])


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return Mesh()


@pytest.mark.parametrize("place", [FIRST, MIDDLE, LAST])
@pytest.mark.parametrize("value", [3329, 4095])
def test_a_key_beyond_the_modulus_is_an_illegal_parameter(mesh: Mesh, place: int, value: int) -> None:
    server = our_server(mesh.worker)
    server.receive(spoil(client_hello(mesh), place, value).encode())
    for _ in range(2):  # and stays one
        with pytest.raises(HandshakeError):
            server.handshake(utc_now())
    assert alert_of(server.outgoing()) == ILLEGAL_PARAMETER


@pytest.mark.parametrize("place", [FIRST, MIDDLE, LAST])
def test_the_largest_key_within_the_modulus_is_served(mesh: Mesh, place: int) -> None:
    server = our_server(mesh.worker)
    server.receive(spoil(client_hello(mesh), place, 3328).encode())
    server.handshake(utc_now())
    assert server.outgoing()[:1] == b"\x16", "a ServerHello"


@pytest.mark.parametrize("loop", LOOPS)
def test_a_listener_answers_with_the_alert_and_goes_on(mesh: Mesh, loop: str) -> None:
    async def main() -> None:
        service = Recorder()
        async with serving(mesh.worker, service) as listener:
            async with stranger(listener) as (reader, writer):
                writer.write(spoil(client_hello(mesh), FIRST, 4095).encode())
                assert alert_of(await last_words(reader)) == ILLEGAL_PARAMETER
            await service.until(lambda: service.refusals)
            assert isinstance(service.refusals[0][1], HandshakeError)
            await call(mesh.controller, listener)

    run(main, loop)
