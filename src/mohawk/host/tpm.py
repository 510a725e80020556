"""A TPM 2.0 client: commands as bytes, over a device or a swtpm's socket, without any native library.

Rules, and the attack or accident each stops:

1. Whatever is loaded is flushed: a TPM has three places for objects, and one that is full refuses everybody.
2. No command that ends a TPM (Shutdown, Clear, a hierarchy's password) exists here: it is the machine's, not ours.
3. What is made here is exempt from the lockout (noDA): power cuts count as wrong guesses, and a node that cannot attest
   after three of them is a node lost.
4. An answer is bounded, read to its last byte, and checked (`host.tpm_session`) before it is believed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from pathlib import Path

from mohawk.attestation.reader import Reader
from mohawk.attestation.structures import Selection, parse_public, parse_selections
from mohawk.crypto.primitives import random_bytes, require_equal
from mohawk.crypto.tpm_primitives import TpmHash, encrypt_seed
from mohawk.errors import HostError, RemoteError
from mohawk.host.tpm_device import RETRY, Exchange, TpmError, broken_answer, open_device
from mohawk.host.tpm_session import NONCE_SIZE, Call, Entity, Session, SessionKind, permanent, sized, u32

OWNER = permanent(0x40000001)
ENDORSEMENT = permanent(0x4000000B)
_NULL = permanent(0x40000007)
_NULL_ALGORITHM = b"\x00\x10"
_AES_128_CFB = b"\x00\x06\x00\x80\x00\x43"
_SHA256 = b"\x00\x0b"
_TRANSIENT, _SESSIONS = 0x80000000, (0x02000000, 0x03000000)
_ASKED_AGAIN = 2
_CAPABILITY_HANDLES, _CAPABILITY_PCRS = 1, 5
_MOST_HANDLES = 254
_PCRS_AT_ONCE = 8
_NV_BLOCK = 512
_MOST_NV = 16 * 1024


class Command(IntEnum):
    """TPM_CC, as far as we use it."""

    EVICT_CONTROL = 0x120
    CREATE_PRIMARY = 0x131
    PCR_EVENT = 0x13C
    ACTIVATE_CREDENTIAL = 0x147
    NV_READ = 0x14E
    POLICY_SECRET = 0x151
    CREATE = 0x153
    LOAD = 0x157
    QUOTE = 0x158
    UNSEAL = 0x15E
    FLUSH_CONTEXT = 0x165
    NV_READ_PUBLIC = 0x169
    POLICY_AUTH_VALUE = 0x16B
    READ_PUBLIC = 0x173
    START_AUTH_SESSION = 0x176
    GET_CAPABILITY = 0x17A
    PCR_READ = 0x17E
    POLICY_PCR = 0x17F
    POLICY_GET_DIGEST = 0x189


@contextmanager
def open_tpm(path: Path) -> Iterator[Tpm]:
    """This machine's TPM, for as short as possible: others wait meanwhile. Raises HostError."""
    with open_device(path) as (exchange, is_tidied):
        tpm = Tpm(exchange)
        if not is_tidied:
            tpm.flush_leftovers()
        yield tpm


class Tpm:
    """One connection. Methods raise HostError; TpmError when the TPM itself refuses."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def execute(self, call: Call) -> Reader:
        """Run one command; the reader begins at the answer's handles. A TPM that had to write something down first
        says so, and is asked again.
        """
        known = call.command in Command.__members__.values()
        doing = Command(call.command).name.lower().replace("_", " ") if known else "a command"
        for _ in range(_ASKED_AGAIN):
            with _forgiving_retry():
                return call.decode(self._exchange(call.encode()), doing)
        return call.decode(self._exchange(call.encode()), doing)

    # ---- objects and handles ----------------------------------------------------------------------------------------

    def read_public(self, handle: int) -> tuple[bytes, bytes]:
        """TPM2B_PUBLIC and name of a loaded or persistent object."""
        answer = self.execute(Call(Command.READ_PUBLIC, (permanent(handle),)))
        public = sized(answer.sized())
        return public, answer.sized(64)

    def handles(self, first: int) -> tuple[int, ...]:
        """The handles in use from `first` on, of its kind."""
        answer = self.execute(
            Call(Command.GET_CAPABILITY, (), u32(_CAPABILITY_HANDLES) + u32(first) + u32(_MOST_HANDLES))
        )
        answer.take(5)  # more to come (never, with so few), and what was asked
        return tuple(answer.u32() for _ in range(answer.count(_MOST_HANDLES)))

    def flush(self, handle: int) -> None:
        self.execute(Call(Command.FLUSH_CONTEXT, (), u32(handle)))

    def flush_leftovers(self) -> None:
        """What a killed client left loaded. Only where nobody else can be using it: we hold the only connection."""
        for kind in (_TRANSIENT, *_SESSIONS):
            for handle in self.handles(kind):
                self.flush(handle)

    @contextmanager
    def flushing(self, handle: int) -> Iterator[int]:
        """`handle`, flushed in the end; an error on the way is told, not the flushing's."""
        try:
            yield handle
        except BaseException:
            with suppress(HostError):
                self.flush(handle)
            raise
        self.flush(handle)

    def evict(self, entity: Entity, persistent: int) -> None:
        """Make a loaded object persistent at that handle; or remove the persistent object that `entity` is."""
        self.execute(Call(Command.EVICT_CONTROL, (OWNER, entity), u32(persistent), (None,)))

    # ---- sessions ---------------------------------------------------------------------------------------------------

    @contextmanager
    def session(self, kind: SessionKind, salted_to: Entity | None = None) -> Iterator[Session]:
        """A session with SHA-256 and AES-128-CFB; `salted_to`: a loaded decryption key of this TPM."""
        salt, encrypted = self._salt(salted_to) if salted_to else (b"", sized(b""))
        ours = random_bytes(NONCE_SIZE)
        symmetric = _AES_128_CFB if salted_to else _NULL_ALGORITHM
        parameters = sized(ours) + encrypted + bytes([kind]) + symmetric + _SHA256
        entities = (salted_to or _NULL, _NULL)
        answer = self.execute(Call(Command.START_AUTH_SESSION, entities, parameters, handles=1))
        handle, nonce = answer.u32(), answer.sized(64)
        with self.flushing(handle):
            yield Session(handle, ours, nonce, salt)

    def _salt(self, key: Entity) -> tuple[bytes, bytes]:
        """A secret, and the same for the TPM that holds `key`, which is known by its name."""
        try:
            public = parse_public(self.read_public(key.handle)[0])
            require_equal(public.name, key.name, broken_answer())
            return encrypt_seed(public.key, b"SECRET")
        except RemoteError:
            raise broken_answer() from None

    def allow_endorsement(self, session: Session) -> None:
        """Let a policy session use the endorsement key: its template's policy is PolicySecret of the hierarchy."""
        nothing = sized(b"") * 3 + bytes(4)
        entities = (ENDORSEMENT, permanent(session.handle))
        self.execute(Call(Command.POLICY_SECRET, entities, nothing, (None,)))

    def policy_pcr(self, session: Session, selection: Selection) -> None:
        """Bind a policy session to what these PCRs hold now."""
        self.execute(Call(Command.POLICY_PCR, (permanent(session.handle),), sized(b"") + _list(selection)))

    def policy_auth_value(self, session: Session) -> None:
        """Bind a policy session to the object's secret."""
        self.execute(Call(Command.POLICY_AUTH_VALUE, (permanent(session.handle),)))

    def policy_digest(self, session: Session) -> bytes:
        return self.execute(Call(Command.POLICY_GET_DIGEST, (permanent(session.handle),))).sized(64)

    # ---- registers and stored data ----------------------------------------------------------------------------------

    def read_pcrs(self, bank: TpmHash, indices: Collection[int]) -> dict[int, bytes]:
        """The values of these PCRs, which a bank that is switched off does not have. Raises HostError."""
        todo = sorted(indices)
        values: dict[int, bytes] = {}
        while todo:
            found = self._read_pcrs(Selection(bank, frozenset(todo[:_PCRS_AT_ONCE])))
            if not found.keys() & set(todo):
                raise HostError(
                    f"this machine's TPM has no {bank.name.lower()} bank of PCRs",
                    hint="switch that bank on in the firmware, or use the other one in the policy",
                )
            values |= found
            todo = [index for index in todo if index not in values]
        return {index: values[index] for index in sorted(indices)}

    def banks(self) -> tuple[TpmHash, ...]:
        """The banks that we know and that are switched on."""
        answer = self.execute(Call(Command.GET_CAPABILITY, (), u32(_CAPABILITY_PCRS) + u32(0) + u32(1)))
        answer.take(5)
        on = {selection.bank for selection in parse_selections(answer) if selection.pcrs}
        return tuple(bank for bank in TpmHash if bank in on)

    def _read_pcrs(self, selection: Selection) -> dict[int, bytes]:
        answer = self.execute(Call(Command.PCR_READ, (), _list(selection)))
        answer.take(4)  # how often any PCR changed
        read = parse_selections(answer)
        values = [answer.sized(64) for _ in range(answer.count(_PCRS_AT_ONCE))]
        indices = sorted(read[0].pcrs) if read else []
        if len(indices) != len(values):
            raise broken_answer()
        return dict(zip(indices, values, strict=True))

    def measure(self, index: int, data: bytes) -> None:
        """Extend a PCR by the hash of `data`, in every bank by its own."""
        self.execute(Call(Command.PCR_EVENT, (permanent(index),), sized(data), (None,)))

    def read_stored(self, index: int) -> bytes:
        """What lies in the TPM's own memory at NV `index`."""
        public = self.execute(Call(Command.NV_READ_PUBLIC, (permanent(index),)))
        area, name = Reader(public.sized(), broken_answer()), public.sized(64)
        area.take(10)  # index, hash, attributes
        area.sized(64)  # policy
        size, entity, data = area.u16(), Entity(index, name), b""
        while len(data) < min(size, _MOST_NV):
            block = min(_NV_BLOCK, size - len(data))
            where = block.to_bytes(2, "big") + len(data).to_bytes(2, "big")
            read = self.execute(Call(Command.NV_READ, (entity, entity), where, (None,))).sized(block)
            if not read:
                raise broken_answer()
            data += read
        return data


@contextmanager
def _forgiving_retry() -> Iterator[None]:
    try:
        yield
    except TpmError as error:
        if error.response != RETRY:
            raise


def _list(selection: Selection) -> bytes:
    """A TPML_PCR_SELECTION of one bank."""
    return u32(1) + selection.encode()
