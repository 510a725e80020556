"""This machine speaking for itself: its TPM's identity, quotes, and the measuring of our code
(docs/spec/attestation.md 2, 4, 7).

Files, in the node's identity folder, 0600: `tpm-key.json` (the attestation key as the TPM wrapped it, and the secret
that its use asks for), `tpm-history.json` (which starts and stops PCR 14 holds). Calls block for milliseconds on a
virtual TPM, for tenths of a second on a discrete one: keep them off an event loop.

Rules, and the attack each stops:

1. The key's secret is readable by the service's user only: another user who may open the TPM cannot quote.
2. Nothing of the TPM is kept loaded between calls: other programs need it too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mohawk.attestation.code_history import PCR as CODE_PCR
from mohawk.attestation.code_history import CodeEvent
from mohawk.attestation.enrolment import TpmIdentity
from mohawk.attestation.event_log import MAXIMUM_CONDENSED, MAXIMUM_LOG, parse_event_log
from mohawk.attestation.evidence import TpmEvidence
from mohawk.attestation.reasons import EvidenceError
from mohawk.attestation.structures import Selection
from mohawk.crypto import canonical
from mohawk.crypto.primitives import random_bytes
from mohawk.crypto.tpm_primitives import Credential, TpmHash
from mohawk.errors import ArtifactError, HostError, MohawkError
from mohawk.host.files import read_file, write_file
from mohawk.host.measured_code import measure, settle
from mohawk.host.tpm import open_tpm
from mohawk.host.tpm_keys import KeyBlob, activate, create_attestation_key, load_key, open_endorsement, quote

FIRMWARE_LOG = Path("/sys/kernel/security/tpm0/binary_bios_measurements")
_KEY_FILE, _HISTORY_FILE = "tpm-key.json", "tpm-history.json"
_FORMAT = "mie-attestation-key-1"
_AUTH_SIZE = 32
_MAXIMUM_FILE = 8 * 1024
_MOST_BLOB = 1026


@dataclass(frozen=True, slots=True)
class _Key:
    blob: KeyBlob
    auth: bytes = field(repr=False)


class Attester:
    """`device`: /dev/tpmrm0, or a swtpm's socket; `folder`: the node's identity folder; `log`: the firmware's.

    Methods raise HostError (TpmError when the TPM refuses), with what to do next.
    """

    def __init__(self, device: Path, folder: Path, log: Path = FIRMWARE_LOG) -> None:
        self._device = device
        self._folder = folder
        self._log = log
        self._running: bytes | None = None

    def identity(self) -> TpmIdentity:
        """This TPM's keys. The first call makes the attestation key."""
        with open_tpm(self._device) as tpm:
            endorsement = open_endorsement(tpm)
            if not self._key_path.exists():
                auth = random_bytes(_AUTH_SIZE)
                self._write_key(_Key(create_attestation_key(tpm, endorsement.entity, auth), auth))
            return TpmIdentity(endorsement.certificate, endorsement.public, self._read_key().blob.public)

    def activate(self, credential: Credential) -> bytes:
        """The secret that the controller wrapped for this TPM and its attestation key."""
        key = self._read_key()
        with open_tpm(self._device) as tpm:
            endorsement = open_endorsement(tpm).entity
            with load_key(tpm, endorsement, key.blob, key.auth) as loaded:
                return activate(tpm, loaded, endorsement, credential)

    def quote(self, qualifying_data: bytes, bank: TpmHash, pcrs: frozenset[int]) -> TpmEvidence:
        """A quote of these PCRs (PCR 14 among them), with what a verifier needs beside it."""
        key = self._read_key()
        selection = Selection(bank, pcrs | {CODE_PCR})
        with open_tpm(self._device) as tpm:
            code = settle(tpm, self._history_path)
            endorsement = open_endorsement(tpm).entity
            with load_key(tpm, endorsement, key.blob, key.auth) as loaded:
                statement, signature = quote(tpm, loaded, qualifying_data, selection)
            values = tpm.read_pcrs(bank, selection.pcrs)
        log, absent = self._condensed_log(bank, selection.pcrs - {CODE_PCR})
        ordered = tuple(sorted(values.items()))
        return TpmEvidence(statement, signature, bank, ordered, code.boot[bank], code.history, log, absent)

    def begin(self, code: bytes) -> None:
        """Measure into PCR 14 that the service with this code digest starts."""
        with open_tpm(self._device) as tpm:
            measure(tpm, self._history_path, CodeEvent(code))
        self._running = code

    def end(self) -> None:
        """Measure that it stops, before the process does; after that no quote of this machine is accepted. Without
        `begin`, nothing.
        """
        if self._running is not None:
            with open_tpm(self._device) as tpm:
                measure(tpm, self._history_path, CodeEvent(self._running, is_stop=True))
            self._running = None

    def _condensed_log(self, bank: TpmHash, pcrs: frozenset[int]) -> tuple[bytes, str]:
        """The log, or empty and why."""
        try:
            whole = read_file(self._log, MAXIMUM_LOG)
        except MohawkError:
            return b"", "unavailable"
        try:
            condensed = parse_event_log(whole, MAXIMUM_LOG).condense(bank, pcrs).encode()
        except EvidenceError:
            return b"", "unreadable"
        return (condensed, "") if len(condensed) <= MAXIMUM_CONDENSED else (b"", "too-large")

    @property
    def _key_path(self) -> Path:
        return self._folder / _KEY_FILE

    @property
    def _history_path(self) -> Path:
        return self._folder / _HISTORY_FILE

    def _write_key(self, key: _Key) -> None:
        blob = key.blob
        write_file(
            self._key_path,
            canonical.encode({"auth": key.auth, "format": _FORMAT, "private": blob.private, "public": blob.public}),
        )

    def _read_key(self) -> _Key:
        if not self._key_path.exists():
            raise HostError("this node has no attestation key yet", hint="enrol it with `mohawk attest enroll`")
        data = read_file(self._key_path, _MAXIMUM_FILE, private=True)
        try:
            fields = canonical.decode(data, _MAXIMUM_FILE, ("auth", "format", "private", "public"))
            fields.require("format", _FORMAT)
            blob = KeyBlob(fields.blob("private", _MOST_BLOB), fields.blob("public", _MOST_BLOB))
            return _Key(blob, fields.blob("auth", _AUTH_SIZE))
        except ArtifactError:
            raise HostError(f"{_KEY_FILE} is damaged", hint="remove it, then enrol this node anew") from None
