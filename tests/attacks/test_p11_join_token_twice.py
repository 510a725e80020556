"""P11: a join token is used a second time: by its holder, by who read it over a shoulder, or by two machines at once.

Expected: one certificate; the other gets no bytes, and the audit log says `used_token`.

Defence: controller/join.py:JoinDesk._use_up (the nonce guard); removed, whoever sees a token within its ten minutes
becomes a node beside the right one.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mohawk.contract.joining import JoinRequest, encode_join_request
from mohawk.crypto.certificate_request import make_request
from mohawk.crypto.signing import SigningKey
from mohawk.errors import PolicyError
from mohawk.worker.joining import join
from tests.support.joining import JoinSite, ask
from tests.support.nodes import run
from tests.support.tls import utc_now


def test_the_second_use_is_refused_and_recorded(tmp_path: Path) -> None:
    site = JoinSite(tmp_path / "pki")

    async def main() -> None:
        async with site.open():
            token = site.token()
            assert str((await join(token, utc_now())).identity.credentials.name) == str(token.name)
            with pytest.raises(PolicyError, match="did not let"):
                await join(token, utc_now())

    run(main)
    assert site.names == ["w1"]
    assert site.refusals == ["used_token"]


def test_of_ten_at_once_one_gets_in(tmp_path: Path) -> None:
    site = JoinSite(tmp_path / "pki")

    async def main() -> list[bytes]:
        async with site.open():
            token = site.token()
            return await asyncio.gather(*(ask(token) for _ in range(10)))

    answers = run(main)
    assert sum(bool(answer) for answer in answers) == 1
    assert site.names == ["w1"]
    assert site.refusals == ["used_token"] * 9


def test_who_cannot_prove_a_token_cannot_burn_it(tmp_path: Path) -> None:
    site = JoinSite(tmp_path / "pki")

    async def main() -> None:
        async with site.open():
            token = site.token()
            forged = JoinRequest(token.id, make_request(SigningKey.generate()), bytes(48))
            assert await ask(token, lambda exporter: encode_join_request(forged)) == b""
            await join(token, utc_now())

    run(main)
    assert site.names == ["w1"]
    assert site.refusals == ["forged_proof"]
