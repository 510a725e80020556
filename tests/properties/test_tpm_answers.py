"""Whatever a TPM, or somebody on its bus, answers: it is read, or a HostError says what happened; nothing hangs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from mohawk.attestation.structures import Selection
from mohawk.crypto.tpm_primitives import Credential, TpmHash
from mohawk.errors import HostError
from mohawk.host.tpm import ENDORSEMENT, Tpm
from mohawk.host.tpm_keys import (
    KeyBlob,
    activate,
    create_attestation_key,
    create_primary,
    load_key,
    open_endorsement,
    quote,
)
from mohawk.host.tpm_session import Entity, SessionKind, permanent, sized, u32
from tests.support.attestation_samples import identity

KEY = Entity(0x81010001, b"\0\x0b" + bytes(32), b"secret")
CODES = st.just(0) | st.sampled_from([0x18B, 0x922, 0x99D]) | st.integers(0, 0xFFFF)
BODIES = st.binary(max_size=120) | st.builds(
    lambda head, inner, tail: head + sized(inner) + tail,
    st.sampled_from([b"", bytes(4), u32(0x80000000), u32(1)]),
    st.binary(max_size=60) | st.just(identity().ek_public[2:]),
    st.binary(max_size=40),
)


def uses(tpm: Tpm) -> Iterator[Callable[[], object]]:
    """Everything that the client asks for."""
    yield lambda: tpm.read_public(0x80000000)
    yield lambda: tpm.handles(0x81000000)
    yield tpm.flush_leftovers
    yield lambda: tpm.read_pcrs(TpmHash.SHA256, [0, 14])
    yield tpm.banks
    yield lambda: tpm.measure(14, b"data")
    yield lambda: tpm.read_stored(0x01C00002)
    yield lambda: tpm.evict(permanent(1), 2)
    yield lambda: open_endorsement(tpm)
    yield lambda: create_attestation_key(tpm, KEY, b"auth")
    yield lambda: create_primary(tpm, ENDORSEMENT, b"template").__enter__()
    yield lambda: load_key(tpm, KEY, KeyBlob(b"", b""), b"").__enter__()
    yield lambda: activate(tpm, KEY, KEY, Credential(b"", b""))
    yield lambda: quote(tpm, KEY, b"q", Selection(TpmHash.SHA256, frozenset({0})))
    yield lambda: tpm.session(SessionKind.HMAC, KEY).__enter__()


@settings(max_examples=150)
@given(answers=st.lists(st.tuples(st.sampled_from([b"\x80\x01", b"\x80\x02"]), CODES, BODIES), min_size=1, max_size=6))
def test_any_answers(answers: list[tuple[bytes, int, bytes]]) -> None:
    sent: list[bytes] = []

    def exchange(command: bytes) -> bytes:
        sent.append(command)
        assert len(sent) < 2000
        tag, code, body = answers[len(sent) % len(answers)]
        return tag + u32(10 + len(body)) + u32(code) + body

    for use in uses(Tpm(exchange)):
        with contextlib.suppress(HostError):
            use()


@settings(max_examples=100)
@given(answer=st.binary(max_size=60))
def test_any_bytes(answer: bytes) -> None:
    for use in uses(Tpm(lambda command: answer)):
        with contextlib.suppress(HostError):
            use()
