"""Sealed records, for what crosses a relay: the controller's part of a step travels through every stage before the one
that it is for (docs/spec/tickets.md).

Rules, and the attack each stops:
- The key comes from the connection between the two ends (TLS exporter), bound to who they are, the plan, the evidence
  and the connection: a record works at one node, on one connection, under one plan (R05, R12).
- Each direction has its own key: nothing can be reflected to its sender (R04).
- The nonce is a counter under a key that is never stored: it cannot repeat, not after a restart either (R08, R09).
- A key works in the process that derived it: a forked child has the same key and the same counter, and what both seal
  next would share a keystream (R10).
- Header and expectation (plan, stage, shape of the tensor beside it) are authenticated with it: nothing can be moved to
  another step's tensor.
- Parse, look at the number, open, and only then note the number: what is forged changes nothing (P02).
- One error for every cause (R13). A relay can hand us as much rubbish as it likes: it is counted, told of at 2^10, and
  at 2^20 the key ends (R11).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from threading import Lock

from mohawk.channel.replay import MAXIMUM_SEQUENCE, RecordRefusedError, Replay, refused
from mohawk.crypto.primitives import AeadKey, expand, extract, sha384
from mohawk.errors import RemoteError, UnavailableError

EXPORTER_LABEL = b"EXPORTER-mie-v1-rec"
SECRET_SIZE = 48
CONNECTION_ID_SIZE = 16
ALARM_AT = 1 << 10
CLOSED_AT = 1 << 20
_SALT = sha384(b"mie/1 rec")
_HEADER = Struct(">2sBBBIQ16s")  # magic, version, type, direction, epoch, sequence, connection id
_MAGIC = b"MR"
_VERSION = 1
_TICKET = 1
_TAG = 16
_EXPECTATION = Struct(">32sIIIBQ")  # plan digest, stage, rows, width, element type, tensor bytes


class Direction(IntEnum):
    """From whom to whom."""

    FROM_CONTROLLER = 0
    TO_CONTROLLER = 1


@dataclass(frozen=True, slots=True)
class Transcript:
    """All that both ends must agree on before a single record opens. Leaves are SHA-256 of the certificates, in
    hexadecimal; `evidence` is the digest of the appraisal's result (32 bytes).
    """

    profile: str
    controller: str
    worker: str
    controller_leaf: str
    worker_leaf: str
    plan: bytes
    evidence: bytes
    connection_id: bytes

    def digest(self) -> bytes:
        """SHA-384 over length-prefixed fields: no two transcripts give the same bytes."""
        texts = (self.profile, self.controller, self.worker, self.controller_leaf, self.worker_leaf)
        fields = (b"mie/1", *(text.encode() for text in texts), self.plan, self.evidence, self.connection_id)
        return sha384(b"".join(len(field).to_bytes(4, "big") + field for field in fields))


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must lie beside a record: the step's tensor, [rows, width] of `element`, `length` bytes; zeros where none is
    expected.
    """

    plan: bytes
    stage: int
    rows: int
    width: int
    element: int
    length: int

    def encode(self) -> bytes:
        return _EXPECTATION.pack(self.plan, self.stage, self.rows, self.width, self.element, self.length)


class _Key:
    """One direction and epoch, in one process."""

    __slots__ = ("_iv", "_process", "cipher", "prefix")

    def __init__(
        self, export: Callable[[bytes], bytes], transcript: Transcript, direction: Direction, epoch: int
    ) -> None:
        digest = transcript.digest()
        root = extract(_SALT, export(digest))
        context = bytes([0, direction]) + epoch.to_bytes(4, "big") + digest
        self.cipher = AeadKey(expand(root, b"mie/1 key" + context))
        self._iv = int.from_bytes(expand(root, b"mie/1 iv" + context, 12), "big")
        self.prefix = (_MAGIC, _VERSION, _TICKET, int(direction), epoch)
        self._process = os.getpid()

    @property
    def is_ours(self) -> bool:
        """Whether this is the process that derived it, not a child that was forked later."""
        return os.getpid() == self._process

    def nonce(self, sequence: int) -> bytes:
        return (self._iv ^ sequence).to_bytes(12, "big")  # 32 zero bits ‖ u64: the counter fills the low 64 bits


class Sealer:
    """The sending end. `export`: context -> 48 bytes of the connection's exporter. Threads may share it."""

    __slots__ = ("_connection_id", "_key", "_lock", "_next")

    def __init__(
        self,
        export: Callable[[bytes], bytes],
        transcript: Transcript,
        epoch: int,
        *,
        direction: Direction = Direction.FROM_CONTROLLER,
    ) -> None:
        self._key = _Key(export, transcript, direction, epoch)
        self._connection_id = transcript.connection_id
        self._lock = Lock()
        self._next = 0

    def seal(self, plaintext: bytes, expectation: bytes) -> bytes:
        """Header ‖ ciphertext ‖ tag. Raises UnavailableError after 2^48 records, and in a forked child: the connection
        must be renewed.
        """
        if not self._key.is_ours:  # asked before the lock, which a thread that was not forked may hold for ever
            raise UnavailableError("a record key of another process", hint="renew the connection")
        with self._lock:
            sequence = self._next
            if sequence >= MAXIMUM_SEQUENCE:
                raise UnavailableError("a record key that is used up", hint="renew the connection")
            self._next = sequence + 1
        header = _HEADER.pack(*self._key.prefix, sequence, self._connection_id)
        return header + self._key.cipher.seal(self._key.nonce(sequence), plaintext, header + expectation)


class Opener:
    """The receiving end. `replay` remembers what was accepted. Threads may share it: of two that open one record, one
    is refused (P06).
    """

    __slots__ = ("_connection_id", "_key", "_lock", "_replay", "forged", "refused")

    def __init__(
        self,
        export: Callable[[bytes], bytes],
        transcript: Transcript,
        epoch: int,
        replay: Replay,
        *,
        direction: Direction = Direction.FROM_CONTROLLER,
    ) -> None:
        self._key: _Key | None = _Key(export, transcript, direction, epoch)
        self._connection_id = transcript.connection_id
        self._replay = replay
        self._lock = Lock()
        self.refused = 0
        """Records that were not accepted, for whatever reason."""
        self.forged = 0
        """Those among them that did not authenticate."""

    @property
    def is_alarming(self) -> bool:
        return self.forged >= ALARM_AT

    @property
    def is_closed(self) -> bool:
        return self._key is None

    def open(self, record: bytes, expectation: bytes) -> bytes:
        """The plaintext of a record that was never accepted before. Raises RecordRefusedError; in a forked child,
        always.
        """
        key = self._key
        if key is not None and not key.is_ours:
            raise refused()
        try:
            return self._open(key, record, expectation)
        except RecordRefusedError:
            with self._lock:
                self.refused += 1
            raise

    def _open(self, key: _Key | None, record: bytes, expectation: bytes) -> bytes:
        if key is None or len(record) < _HEADER.size + _TAG:
            raise refused()
        *prefix, sequence, connection_id = _HEADER.unpack_from(record)
        if tuple(prefix) != key.prefix or connection_id != self._connection_id:
            raise refused()
        self._replay.check(sequence)
        try:
            plaintext = key.cipher.open(
                key.nonce(sequence), record[_HEADER.size :], record[: _HEADER.size] + expectation
            )
        except RemoteError:
            self._count_forgery()
            raise refused() from None
        with self._lock:
            self._replay.record(sequence)
        return plaintext

    def _count_forgery(self) -> None:
        with self._lock:
            self.forged += 1
            if self.forged >= CLOSED_AT:
                self._key = None
