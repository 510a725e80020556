"""Key provider `tpm`: the model key inside this machine's TPM, for the firmware and settings that it was sealed under
(docs/spec/attestation.md 11).

Rules, and the attack each stops:

1. The object is made inside the TPM and its private part never leaves it: whoever copied every file of this machine has
   nothing, and once `destroy` has evicted it nobody has.
2. It opens only with the PCRs as they were (another boot loader does not get it) and with a secret from the keyring
   (another user of the TPM does not either).
3. The key crosses the bus encrypted, in a session whose secret only the endorsement key opens. That key is known by its
   name: a chip in between cannot offer its own.
4. Registers that nobody measured into are refused: they bind to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mohawk.attestation.policy import BOOT_PCRS, is_unmeasured
from mohawk.attestation.structures import PCR_COUNT, Attribute, Selection
from mohawk.crypto import canonical
from mohawk.crypto.primitives import KEY_SIZE, Buffer, random_bytes
from mohawk.crypto.tpm_primitives import TpmHash
from mohawk.errors import ArtifactError, HostError, PolicyError, UsageError
from mohawk.host.memory import SecretBytes
from mohawk.host.tpm import OWNER, Command, Tpm, open_tpm
from mohawk.host.tpm_device import HANDLE_UNKNOWN, POLICY_FAILED, TpmError
from mohawk.host.tpm_keys import create_primary, open_endorsement
from mohawk.host.tpm_session import ENCRYPT_RESPONSE, Call, Entity, Session, SessionKind, sized, u32

_FORMAT = "mie-tpm-sealed-1"
_KEYS = ("auth", "format", "handle", "name", "pcrs", "salt_key")
_FIRST_HANDLE, _LAST_HANDLE = 0x81004D00, 0x81004DFF
_MAXIMUM_BLOB = 4096
_AUTH_SIZE, _UNIQUE_SIZE = 32, 32
_NAME_SIZE = 34
_KEYED_HASH, _SHA256, _NULL = b"\x00\x08", b"\x00\x0b", b"\x00\x10"
_ATTRIBUTES = (
    Attribute.FIXED_TPM | Attribute.FIXED_PARENT | Attribute.ADMIN_WITH_POLICY | Attribute.NO_DICTIONARY_ATTACKS
)


@dataclass(frozen=True, slots=True)
class _Blob:
    """What the keyring holds: where the object is, what it is, and the secret that its use asks for."""

    handle: int
    name: bytes
    salt_key: bytes
    pcrs: frozenset[int]
    auth: bytes = field(repr=False)

    def encode(self) -> bytes:
        return canonical.encode(
            {
                "auth": self.auth,
                "format": _FORMAT,
                "handle": self.handle,
                "name": self.name,
                "pcrs": sum(1 << index for index in self.pcrs),
                "salt_key": self.salt_key,
            }
        )

    @property
    def entity(self) -> Entity:
        return Entity(self.handle, self.name, self.auth)


class TpmSealed:
    """The model key in the TPM at `device`: /dev/tpmrm0, or a swtpm's socket. `pcrs`: what a new one is sealed to."""

    name = "tpm"

    def __init__(self, device: Path, pcrs: Iterable[int] = BOOT_PCRS) -> None:
        self._device = device
        self._pcrs = frozenset(pcrs)

    @staticmethod
    def describe() -> str:
        return (
            "Protects the model key from whoever copies files or disks, and from this machine started with other "
            "firmware, boot loader or Secure Boot settings; not from root here while it runs, nor from whoever takes "
            "the whole machine."
        )

    def wrap(self, key: Buffer) -> bytes:
        """A new object in the TPM, and where to find it. Raises HostError; PolicyError: nothing measured the boot."""
        if len(key) != KEY_SIZE:
            raise UsageError("a model key holds 32 bytes")
        auth = random_bytes(_AUTH_SIZE)
        with open_tpm(self._device) as tpm:
            _require_measured(tpm, self._pcrs)
            salt_key = open_endorsement(tpm).entity
            unique = sized(random_bytes(_UNIQUE_SIZE))  # else the same key again would be an object of the same name
            public = _KEYED_HASH + _SHA256 + u32(_ATTRIBUTES) + sized(_policy(tpm, self._pcrs)) + _NULL + unique
            handle = _free_handle(tpm)
            with create_primary(tpm, OWNER, public, sized(auth) + sized(bytes(key)), salted_to=salt_key) as made:
                tpm.evict(made, handle)
        return _Blob(handle, made.name, salt_key.name, self._pcrs, auth).encode()

    def unwrap(self, blob: bytes) -> SecretBytes:
        """Raises ArtifactError (a broken blob), PolicyError (this machine booted something else), HostError (the object
        is not in this TPM: destroyed, or another machine).
        """
        sealed = _parse(blob)
        with open_tpm(self._device) as tpm:
            _require_there(tpm, sealed)
            with tpm.session(SessionKind.POLICY, salted_to=_salt_key(tpm, sealed)) as session:
                _satisfy(tpm, session, sealed.pcrs)
                call = Call(Command.UNSEAL, (sealed.entity,), b"", (session,), ENCRYPT_RESPONSE)
                with _translated():
                    key = tpm.execute(call).sized(KEY_SIZE)
        if len(key) != KEY_SIZE:
            raise ArtifactError("the TPM's object is not a model key")
        return SecretBytes.copy_of(key)

    def destroy(self, blob: bytes) -> str:
        """Remove the object from the TPM; one that is gone from the TPM that made it was removed before. Raises
        HostError: this is another TPM.
        """
        sealed = _parse(blob)
        with open_tpm(self._device) as tpm:
            if _is_there(tpm, sealed):
                tpm.evict(sealed.entity, sealed.handle)
            else:
                _salt_key(tpm, sealed)
        return (
            "Removed from this machine's TPM, which held the only copy: the model key is gone for everybody, whatever "
            "files were copied before (unless the TPM is a virtual one, and its host kept a copy of that)."
        )


def _policy(tpm: Tpm, pcrs: frozenset[int]) -> bytes:
    """The digest of: these PCRs as they are now, and the object's secret."""
    with tpm.session(SessionKind.TRIAL) as session:
        _satisfy(tpm, session, pcrs)
        return tpm.policy_digest(session)


def _satisfy(tpm: Tpm, session: Session, pcrs: frozenset[int]) -> None:
    tpm.policy_pcr(session, Selection(TpmHash.SHA256, pcrs))
    tpm.policy_auth_value(session)


def _require_measured(tpm: Tpm, pcrs: frozenset[int]) -> None:
    for index, value in sorted(tpm.read_pcrs(TpmHash.SHA256, pcrs).items()):
        if is_unmeasured(value):
            raise PolicyError(
                f"PCR {index} holds nothing: sealing to it would bind the key to nothing",
                hint="switch measured boot on in the firmware, or use another key provider",
            )


def _is_there(tpm: Tpm, sealed: _Blob) -> bool:
    """The object of that name, not another one that took its handle: that one is not ours to use or remove."""
    try:
        return tpm.read_public(sealed.handle)[1] == sealed.name
    except TpmError as error:
        if error.response != HANDLE_UNKNOWN:
            raise
        return False


def _require_there(tpm: Tpm, sealed: _Blob) -> None:
    if not _is_there(tpm, sealed):
        raise HostError(
            "this machine's TPM does not hold this model key",
            hint="it was destroyed, the TPM was cleared, or the keyring belongs to another machine",
        )


def _salt_key(tpm: Tpm, sealed: _Blob) -> Entity:
    endorsement = open_endorsement(tpm).entity
    if endorsement.name != sealed.salt_key:
        raise HostError(
            "this TPM shows another endorsement key than the one that the model key was sealed with",
            hint="something may sit between this machine and its TPM; look before you go on",
        )
    return endorsement


def _free_handle(tpm: Tpm) -> int:
    used = set(tpm.handles(_FIRST_HANDLE))
    for handle in range(_FIRST_HANDLE, _LAST_HANDLE + 1):
        if handle not in used:
            return handle
    raise HostError("this machine's TPM holds 256 model keys", hint="destroy those that nobody needs")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except TpmError as error:
        if error.response == POLICY_FAILED:
            raise PolicyError(
                "this machine booted something else than when the model key was sealed",
                hint="boot as before, or seal the model anew from its folder",
            ) from None
        raise


def _parse(blob: bytes) -> _Blob:
    fields = canonical.decode(blob, _MAXIMUM_BLOB, _KEYS)
    fields.require("format", _FORMAT)
    handle = fields.whole("handle", _FIRST_HANDLE, _LAST_HANDLE)
    parts = (fields.blob("name", _NAME_SIZE), fields.blob("salt_key", _NAME_SIZE), fields.blob("auth", _AUTH_SIZE))
    if tuple(map(len, parts)) != (_NAME_SIZE, _NAME_SIZE, _AUTH_SIZE):
        raise ArtifactError("a TPM-sealed model key with parts of the wrong size")
    mask = fields.whole("pcrs", 1, (1 << PCR_COUNT) - 1)
    name, salt_key, auth = parts
    return _Blob(handle, name, salt_key, frozenset(index for index in range(PCR_COUNT) if mask >> index & 1), auth)
