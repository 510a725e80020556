"""Protects the TPM client: what it loads it unloads, what it is told it checks, and every failure says what to do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from mohawk.attestation.structures import Selection, parse_public
from mohawk.crypto.endorsement import VendorRoots, parse_endorsement
from mohawk.crypto.tpm_primitives import EccPublic, TpmHash, make_credential
from mohawk.errors import HostError
from mohawk.host.tpm import ENDORSEMENT, OWNER, Command, Tpm, open_tpm
from mohawk.host.tpm_device import TpmError
from mohawk.host.tpm_keys import (
    TEMPLATES,
    activate,
    create_attestation_key,
    create_primary,
    load_key,
    open_endorsement,
    quote,
)
from mohawk.host.tpm_session import Call, SessionKind, permanent, sized, u32
from tests.support.boot_log import Recorded
from tests.support.endorsements import NOW, Maker, der
from tests.support.swtpm import Swtpm, Vendor, running
from tests.support.tpm_bus import Bus, code, probed

AUTH = b"a" * 32
TRANSIENT, SESSION = 0x80000000, 0x02000000
PLATFORM = permanent(0x4000000C)
RETRY = b"\x80\x01" + u32(10) + u32(0x922)
LOAD_EXTERNAL, NV_UNDEFINE, NV_DEFINE, NV_WRITE = 0x167, 0x122, 0x12A, 0x137


@pytest.fixture
def bus(first_tpm: Swtpm) -> Iterator[Bus]:
    first_tpm.boot()
    with probed(first_tpm.path, first_tpm.folder / "bus") as bus:
        yield bus


def sign_something(tpm: Tpm) -> None:
    endorsement = open_endorsement(tpm).entity
    blob = create_attestation_key(tpm, endorsement, AUTH)
    with load_key(tpm, endorsement, blob, AUTH) as key:
        quote(tpm, key, b"q" * 32, Selection(TpmHash.SHA256, frozenset({0})))


def test_a_tpm_that_asks_to_be_asked_again_is(bus: Bus) -> None:
    """TPM_RC_RETRY: it had to write something down first. Thrice at most, then it is an error."""
    answers = [RETRY, RETRY]
    bus.change = lambda command, answer: answers.pop() if answers else answer
    with open_tpm(bus.path) as tpm:
        answers += [RETRY]
        assert tpm.read_pcrs(TpmHash.SHA256, [0])
        answers += [RETRY] * 4
        with pytest.raises(TpmError, match="0x922"):
            tpm.read_pcrs(TpmHash.SHA256, [0])
        answers.clear()


def test_nothing_stays_loaded(first_tpm: Swtpm) -> None:
    with first_tpm.open() as tpm:
        sign_something(tpm)
        assert [tpm.handles(kind) for kind in (TRANSIENT, SESSION, 0x03000000)] == [(), (), ()]


def test_nothing_stays_loaded_after_errors(first_tpm: Swtpm) -> None:
    with first_tpm.open() as tpm:
        endorsement = open_endorsement(tpm).entity
        blob = create_attestation_key(tpm, endorsement, AUTH)
        with load_key(tpm, endorsement, blob, b"wrong" * 6) as key:
            for _ in range(5):
                with pytest.raises(TpmError, match="refused quote") as refusal:
                    quote(tpm, key, b"q" * 32, Selection(TpmHash.SHA256, frozenset({0})))
        assert "password" in refusal.value.hint
        assert [tpm.handles(kind) for kind in (TRANSIENT, SESSION)] == [(), ()]


def test_what_a_killed_client_left_is_cleared_away(first_tpm: Swtpm) -> None:
    """A swtpm has no resource manager: three objects left behind would shut everybody out."""
    with first_tpm.open() as tpm:
        blob = create_attestation_key(tpm, open_endorsement(tpm).entity, AUTH)
        for _ in range(3):
            tpm.execute(Call(LOAD_EXTERNAL, (), sized(b"") + blob.public + u32(0x40000007)))
        assert len(tpm.handles(TRANSIENT)) == 3
    with first_tpm.open() as tpm:
        assert tpm.handles(TRANSIENT) == ()
        sign_something(tpm)


def test_power_cuts_do_not_lock_the_key(first_tpm: Swtpm) -> None:
    """Each counts as a wrong guess for keys under the lockout; ours are not."""
    with first_tpm.open() as tpm:
        endorsement = open_endorsement(tpm).entity
        blob = create_attestation_key(tpm, endorsement, AUTH)
    for _ in range(5):
        first_tpm.stop()
        first_tpm.start()
        with first_tpm.open() as tpm:
            sign_something(tpm)
            with load_key(tpm, endorsement, blob, AUTH) as key:
                quote(tpm, key, b"q" * 32, Selection(TpmHash.SHA256, frozenset({0})))


def test_the_endorsement_key_is_made_where_it_is_missing(second_tpm: Swtpm) -> None:
    with second_tpm.open() as tpm:
        before = open_endorsement(tpm)
        tpm.evict(before.entity, before.entity.handle)
        assert before.entity.handle not in tpm.handles(0x81010000)
        after = open_endorsement(tpm)
        assert (after.public, after.entity) == (before.public, before.entity)
        assert tpm.handles(TRANSIENT) == ()


def test_another_key_at_the_endorsement_keys_handle(second_tpm: Swtpm) -> None:
    with second_tpm.open() as tpm:
        genuine = open_endorsement(tpm).entity
        blob = create_attestation_key(tpm, genuine, AUTH)
        with load_key(tpm, genuine, blob, AUTH) as key:
            tpm.evict(genuine, genuine.handle)
            tpm.evict(key, genuine.handle)
        with pytest.raises(HostError, match="another key"):
            open_endorsement(tpm)
        tpm.evict(permanent(genuine.handle), genuine.handle)
        assert open_endorsement(tpm).entity == genuine


def test_an_elliptic_endorsement_key(vendor: Vendor) -> None:
    """A TPM whose only certificate is for the second template (L-2, P-256): enrolled and quoting like any other."""
    maker = Maker()
    with running(vendor, "machine-3") as machine, machine.open() as tpm:
        tpm.execute(Call(NV_UNDEFINE, (PLATFORM, permanent(0x01C00002)), b"", (None,)))
        with create_primary(tpm, ENDORSEMENT, TEMPLATES[1].public) as made:
            public = parse_public(tpm.read_public(made.handle)[0]).key
        assert isinstance(public, EccPublic)
        numbers = ec.EllipticCurvePublicNumbers(public.x, public.y, ec.SECP256R1())
        store(tpm, 0x01C0000A, der(maker.issue(numbers.public_key())) + b"\xff" * 40)

        endorsement = open_endorsement(tpm)
        assert endorsement.entity.handle == 0x81010002
        VendorRoots.parse(maker.pem).verify(parse_endorsement(endorsement.certificate), NOW)
        blob = create_attestation_key(tpm, endorsement.entity, AUTH)
        with load_key(tpm, endorsement.entity, blob, AUTH) as key:
            credential = make_credential(public, key.name, b"s" * 32)
            assert activate(tpm, key, endorsement.entity, credential) == b"s" * 32


def store(tpm: Tpm, index: int, data: bytes) -> None:
    """Define an NV index that anybody may read, and write it."""
    public = u32(index) + b"\x00\x0b" + u32(0x00060006) + sized(b"") + len(data).to_bytes(2, "big")
    tpm.execute(Call(NV_DEFINE, (OWNER,), sized(b"") + sized(public), (None,)))
    entity = permanent(index)
    tpm.execute(Call(NV_WRITE, (entity, entity), sized(data) + b"\0\0", (None,)))


def test_a_tpm_without_a_certificate(vendor: Vendor) -> None:
    with running(vendor, "machine-4") as machine, machine.open() as tpm:
        tpm.execute(Call(NV_UNDEFINE, (PLATFORM, permanent(0x01C00002)), b"", (None,)))
        with pytest.raises(HostError, match="no endorsement certificate"):
            open_endorsement(tpm)


def test_registers_are_read_however_many(first_tpm: Swtpm) -> None:
    first_tpm.boot([Recorded(index, 1, bytes([index])) for index in range(16)])
    with first_tpm.open() as tpm:
        for bank in TpmHash:
            values = tpm.read_pcrs(bank, range(16))
            assert values == {i: bank.digest(bytes(bank.size) + bank.digest(bytes([i]))) for i in range(16)}
        assert tpm.banks() == (TpmHash.SHA256, TpmHash.SHA384)


def test_measuring_extends_every_bank(first_tpm: Swtpm) -> None:
    first_tpm.reset()
    with first_tpm.open() as tpm:
        tpm.measure(14, b"what happened")
        for bank in TpmHash:
            assert tpm.read_pcrs(bank, [14])[14] == bank.digest(bytes(bank.size) + bank.digest(b"what happened"))


# ---- failures -------------------------------------------------------------------------------------------------------


def test_no_tpm(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="talking to the TPM") as refusal, open_tpm(tmp_path / "tpmrm0"):
        pass
    assert "tss" in refusal.value.hint


def test_neither_device_nor_socket(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HostError, match="neither"), open_tpm(tmp_path / "file"):
        pass


def test_a_socket_that_nobody_answers(first_tpm: Swtpm, tmp_path: Path) -> None:
    path = first_tpm.folder / "dead"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    with pytest.raises(HostError, match="refused"), open_tpm(path):
        pass
    path.unlink()


@pytest.mark.parametrize(
    ("response", "plain", "word"),
    [
        (0x921, 0x921, "dictionarylockout"),
        (0x902, 0x902, "memory is full"),
        (0x98E, 0x08E, "password"),
        (0x9A2, 0x0A2, "password"),
        (0x18B, 0x08B, "not in this TPM"),
        (0x1DF, 0x09F, "another TPM"),
        (0x99D, 0x09D, "state"),
        (0x14B, 0x14B, "full"),
        (0x100, 0x100, "not started"),
        (0x12F, 0x12F, "specification"),
    ],
)
def test_refusals_are_explained(response: int, plain: int, word: str) -> None:
    error = TpmError("quote", response)
    assert error.response == plain
    assert f"0x{response:03x}" in error.message
    assert word in error.hint


@pytest.mark.parametrize(
    "answer",
    [b"", b"\x80\x01\0\0\0\x0a\0\0\0", b"\x80\x01\0\0\0\x09\0\0\0\0", b"\x80\x01\xff\xff\xff\xff\0\0\0\0", bytes(10)],
)
def test_answers_that_are_none(bus: Bus, answer: bytes) -> None:
    with open_tpm(bus.path) as tpm:
        bus.change = lambda command, genuine: answer
        with pytest.raises(HostError):
            tpm.read_pcrs(TpmHash.SHA256, [0])


# ---- the bus --------------------------------------------------------------------------------------------------------


def test_the_keys_secret_never_crosses_the_bus(bus: Bus) -> None:
    with open_tpm(bus.path) as tpm:
        sign_something(tpm)
    assert len(bus.seen) > 20
    assert not bus.holds(AUTH)


@pytest.mark.parametrize("at", [20, 60, -1, -40])
def test_a_changed_answer_is_noticed(bus: Bus, at: int) -> None:
    """Of what runs under a session: a quote's answer, here."""
    with open_tpm(bus.path) as tpm:
        endorsement = open_endorsement(tpm).entity
        blob = create_attestation_key(tpm, endorsement, AUTH)
        with load_key(tpm, endorsement, blob, AUTH) as key:
            bus.change = lambda command, answer: flip(answer, at) if code(command) == Command.QUOTE else answer
            with pytest.raises(HostError, match="changed on the way"):
                quote(tpm, key, b"q" * 32, Selection(TpmHash.SHA256, frozenset({0})))
            bus.change = lambda command, answer: answer


def test_a_repeated_answer_is_noticed(bus: Bus) -> None:
    """Nonces roll: yesterday's answer to the same question authenticates nothing today."""
    recorded: list[bytes] = []

    def replay(command: bytes, answer: bytes) -> bytes:
        if code(command) != Command.QUOTE:
            return answer
        recorded.append(answer)
        return recorded[0]

    with open_tpm(bus.path) as tpm:
        endorsement = open_endorsement(tpm).entity
        blob = create_attestation_key(tpm, endorsement, AUTH)
        bus.change = replay
        with load_key(tpm, endorsement, blob, AUTH) as key, tpm.session(SessionKind.HMAC) as session:
            call = Call(Command.QUOTE, (key,), sized(b"q") + b"\0\x10" + u32(0), (session,))
            tpm.execute(call)
            with pytest.raises(HostError, match="changed on the way"):
                tpm.execute(call)
        bus.change = lambda command, answer: answer


def flip(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)
