"""J01: somebody asks to join with what is no token for that: one for another name or machine, an expired one, one that
the controller never issued, a guessed proof, another key than the one that was proven.

Expected: no bytes come back, whatever the cause; the audit log holds the cause.

Defence: identity/join_token.py:OpenToken.verify (one MAC over name, certificate request and TPM), controller/join.py:
JoinDesk._use_up (its ten minutes); removed, a token for one worker brings in any node, or any key, for ever.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mohawk.contract.joining import JoinRequest, encode_join_request, parse_join_request
from mohawk.crypto.certificate_request import make_request
from mohawk.crypto.signing import SigningKey
from mohawk.errors import UsageError
from mohawk.identity.join_token import JoinToken, encode_token, parse_token
from mohawk.identity.names import NodeName
from mohawk.transport.joining import Exporter
from mohawk.worker.joining import join
from tests.support.joining import JoinSite, ask, request_for
from tests.support.nodes import run
from tests.support.tls import utc_now


@pytest.fixture
def site(tmp_path: Path) -> JoinSite:
    return JoinSite(tmp_path / "pki")


def refused(site: JoinSite, change: object, **issue: object) -> None:
    """`change`: the honest token -> what is asked with it."""

    async def main() -> bytes:
        async with site.open():
            token = site.token(**issue)  # type: ignore[arg-type]
            asked = change(token)  # type: ignore[operator]
            return await (ask(asked) if isinstance(asked, JoinToken) else ask(token, asked))

    assert run(main) == b""
    assert site.names == []


@pytest.mark.parametrize("name", ["worker/w2", "controller/w1", "operator/w1"])
def test_a_token_that_was_rewritten_for_another_name(site: JoinSite, name: str) -> None:
    """Its checksum can be made by anybody."""

    def rewrite(token: JoinToken) -> JoinToken:
        other = replace(token, name=NodeName.parse(f"spiffe://mesh.example/{name}"))
        return parse_token(encode_token(other))

    refused(site, rewrite)
    assert site.refusals == ["forged_proof"]


@pytest.mark.parametrize("ek_hash", ["", "ef" * 32])
def test_a_token_of_another_machine_s_tpm(site: JoinSite, ek_hash: str) -> None:
    refused(site, lambda token: replace(token, ek_hash=ek_hash), ek_hash="cd" * 32)
    assert site.refusals == ["forged_proof"]


def test_an_expired_token(site: JoinSite) -> None:
    refused(site, lambda token: token, age=601)
    assert site.refusals == ["expired_token"]


def test_an_expired_token_is_not_even_sent(site: JoinSite) -> None:
    async def main() -> None:
        async with site.open():
            with pytest.raises(UsageError, match="expired"):
                await join(site.token(age=601), utc_now())

    run(main)
    assert site.refusals == []


def test_a_token_whose_expiry_was_rewritten(site: JoinSite) -> None:
    refused(site, lambda token: replace(token, expires=utc_now().replace(microsecond=0, year=2040)), age=601)
    assert site.refusals == ["expired_token"]


def test_a_token_that_nobody_issued(site: JoinSite) -> None:
    refused(site, lambda token: JoinToken(token.name, token.expires, token.root, token.controller, token.publisher))
    assert site.refusals == ["unknown_token"]


@pytest.mark.parametrize("proof", [b"", bytes(48), b"\xff" * 48])
def test_a_guessed_proof(site: JoinSite, proof: bytes) -> None:
    request = make_request(SigningKey.generate())
    refused(site, lambda token: lambda exporter: encode_join_request(JoinRequest(token.id, request, proof)))
    assert site.refusals == ["forged_proof"]


def test_another_key_under_an_honest_proof(site: JoinSite) -> None:
    def swap(token: JoinToken) -> object:
        def make(exporter: Exporter) -> bytes:
            honest = parse_join_request(request_for(token, exporter))
            return encode_join_request(replace(honest, request=make_request(SigningKey.generate())))

        return make

    refused(site, swap)
    assert site.refusals == ["forged_proof"]


def test_a_key_that_its_sender_does_not_hold(site: JoinSite) -> None:
    """A certificate request is signed by its own key; this one's signature was cut."""

    def cut(token: JoinToken) -> object:
        def make(exporter: Exporter) -> bytes:
            request = bytearray(make_request(SigningKey.generate()))
            request[-1] ^= 1
            proof = token.prove(exporter(b"mie-join", 32), bytes(request))
            return encode_join_request(JoinRequest(token.id, bytes(request), proof))

        return make

    refused(site, cut)
    assert site.refusals == ["bad_certificate_request"]


@pytest.mark.parametrize("data", [b"", b"{}", b"\x00" * 100, b"[" * 16_000, b'{"type":"mohawk-join-request-1"}'])
def test_what_is_no_request(site: JoinSite, data: bytes) -> None:
    refused(site, lambda token: lambda exporter: data)
    assert site.refusals == ["malformed_request"]
