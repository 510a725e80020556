"""Calls and sessions: proof of a secret without showing it, and parameters that a probe on the bus cannot read (TPM 2.0
Library part 1, 18 to 21).

Rules, and the attack each stops:

1. A password is never sent: the HMAC of a command shows that we know it, for this command only.
2. A salted session's key comes from a secret that only the TPM's own key opens: a probe on the bus of a discrete TPM
   sees ciphertext (docs/spec/attestation.md 11).
3. Each answer's HMAC is checked before anything in it is decrypted or used: whoever sits on the bus cannot change one.
4. Nonces roll with each command: a recorded answer answers nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from mohawk.attestation.reader import Reader
from mohawk.crypto.primitives import random_bytes, require_equal, sha256
from mohawk.crypto.tpm_primitives import decrypt_cfb, derive_tpm, encrypt_cfb, hmac_sha256, parameter_key
from mohawk.host.tpm_device import LARGEST_MESSAGE, TpmError, broken_answer

NONCE_SIZE = 16
ENCRYPT_COMMAND = 0x20
ENCRYPT_RESPONSE = 0x40
_CONTINUE = 0x01
_PASSWORD = (0x40000009).to_bytes(4, "big")
_PLAIN, _WITH_SESSIONS = 0x8001, 0x8002


class SessionKind(IntEnum):
    """TPM_SE."""

    HMAC = 0
    POLICY = 1
    TRIAL = 3


@dataclass(frozen=True, slots=True)
class Entity:
    """What a command is about: its handle, its name (which sessions bind commands to), and the secret that lets us."""

    handle: int
    name: bytes
    auth: bytes = field(default=b"", repr=False)

    @property
    def secret(self) -> bytes:
        """As the TPM keeps it: without trailing zeros."""
        return self.auth.rstrip(b"\0")


def permanent(handle: int) -> Entity:
    """A hierarchy, a PCR, a session: things whose name is their handle."""
    return Entity(handle, handle.to_bytes(4, "big"))


class Session:
    """One HMAC or policy session. `nonce`: the TPM's; `salt`: what both ends know, or empty."""

    __slots__ = ("_key", "_ours", "_theirs", "handle")

    def __init__(self, handle: int, ours: bytes, nonce: bytes, salt: bytes) -> None:
        self.handle = handle
        self._ours = ours
        self._theirs = nonce
        self._key = derive_tpm(salt, b"ATH", nonce, ours, 256) if salt else b""

    def roll(self) -> None:
        """A fresh nonce of ours, before each command."""
        self._ours = random_bytes(NONCE_SIZE)

    def encrypt(self, entity: Entity, parameter: bytes) -> bytes:
        return encrypt_cfb(*parameter_key(self._key + entity.secret, self._ours, self._theirs), parameter)

    def decrypt(self, entity: Entity, parameter: bytes) -> bytes:
        return decrypt_cfb(*parameter_key(self._key + entity.secret, self._theirs, self._ours), parameter)

    def authorize(self, entity: Entity, command_hash: bytes, attributes: int) -> bytes:
        """A TPMS_AUTH_COMMAND that lets `entity` be used."""
        mac = self._mac(entity, command_hash, self._ours, self._theirs, attributes)
        return self.handle.to_bytes(4, "big") + sized(self._ours) + bytes([attributes]) + sized(mac)

    def check(self, entity: Entity, response_hash: bytes, nonce: bytes, attributes: int, mac: bytes) -> None:
        """Raise HostError unless the TPM that shares this session's key answered."""
        self._theirs = nonce
        expected = self._mac(entity, response_hash, self._theirs, self._ours, attributes)
        require_equal(mac, expected, broken_answer())

    def _mac(self, entity: Entity, digest: bytes, newer: bytes, older: bytes, attributes: int) -> bytes:
        """Empty when there is no secret to show: a policy session that its assertions alone satisfy (TPM1 19.6)."""
        secret = self._key + entity.secret
        return hmac_sha256(secret, digest + newer + older + bytes([attributes])) if secret else b""


@dataclass(frozen=True, slots=True)
class Call:
    """One command and how to read its answer. `sessions` authorise the first of `entities`, in order; None is an empty
    password. `protect`: ENCRYPT_COMMAND or ENCRYPT_RESPONSE, for the first parameter, by the first session.
    `handles`: how many the answer begins with.
    """

    command: int
    entities: tuple[Entity, ...] = ()
    parameters: bytes = b""
    sessions: tuple[Session | None, ...] = ()
    protect: int = 0
    handles: int = 0

    def encode(self) -> bytes:
        """The command's bytes; nonces roll, so each call is encoded once and its answer decoded next."""
        for session in filter(None, self.sessions):
            session.roll()
        parameters = self._encrypted() if self.protect & ENCRYPT_COMMAND else self.parameters
        names = b"".join(entity.name for entity in self.entities)
        area = self._authorize(sha256(u32(self.command) + names + parameters)) if self.sessions else b""
        body = b"".join(u32(entity.handle) for entity in self.entities) + area + parameters
        tag = _WITH_SESSIONS if self.sessions else _PLAIN
        message = tag.to_bytes(2, "big") + u32(10 + len(body)) + u32(self.command) + body
        assert len(message) <= LARGEST_MESSAGE
        return message

    def _authorize(self, command_hash: bytes) -> bytes:
        area = b""
        for position, (session, entity) in enumerate(zip(self.sessions, self.entities, strict=False)):
            attributes = _CONTINUE | (0 if position else self.protect)
            if session is None:
                area += _PASSWORD + sized(b"") + bytes([_CONTINUE]) + sized(b"")
            else:
                area += session.authorize(entity, command_hash, attributes)
        return u32(len(area)) + area

    def decode(self, response: bytes, doing: str) -> Reader:
        """The answer's handles, then its parameters. Raises TpmError: refused; HostError: broken or not authentic."""
        answer = Reader(response, broken_answer())
        tag, _size, code = answer.u16(), answer.u32(), answer.u32()
        if code:
            raise TpmError(doing, code)
        if tag != _WITH_SESSIONS:
            return answer
        head = answer.take(4 * self.handles)
        parameters = answer.take(answer.count(LARGEST_MESSAGE))
        self._check(answer, sha256(u32(code) + u32(self.command) + parameters))
        if self.protect & ENCRYPT_RESPONSE:
            parameters = self._decrypted(parameters)
        return Reader(head + parameters, broken_answer())

    def _check(self, answer: Reader, response_hash: bytes) -> None:
        for session, entity in zip(self.sessions, self.entities, strict=False):
            nonce, attributes, mac = answer.sized(64), answer.u8(), answer.sized(64)
            if session is not None:
                session.check(entity, response_hash, nonce, attributes, mac)
        answer.end()

    def _encrypted(self) -> bytes:
        session, reader = self.sessions[0], Reader(self.parameters, broken_answer())
        assert session is not None
        return sized(session.encrypt(self.entities[0], reader.sized())) + reader.rest()

    def _decrypted(self, parameters: bytes) -> bytes:
        session, reader = self.sessions[0], Reader(parameters, broken_answer())
        assert session is not None
        return sized(session.decrypt(self.entities[0], reader.sized())) + reader.rest()


def sized(data: bytes) -> bytes:
    """A TPM2B."""
    return len(data).to_bytes(2, "big") + data


def u32(number: int) -> bytes:
    return number.to_bytes(4, "big")
