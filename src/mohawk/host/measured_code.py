"""What PCR 14 says of our code, and the file that explains it (docs/spec/attestation.md 7).

Rules, and the accident each stops:

1. An event is written down before it is measured: a crash between the two leaves one event too many in the file, which
   is seen and taken back; never one too few, which nobody could explain.
2. A history that does not lead to what PCR 14 holds now is not used: the machine was restarted since, or something else
   measured. What then counts as the beginning is the policy's to judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mohawk.attestation.code_history import MAXIMUM_DIGESTS, MAXIMUM_EVENTS, PCR, CodeEvent, CodeHistory, parse_history
from mohawk.attestation.evidence import BANKS
from mohawk.attestation.reasons import EvidenceError
from mohawk.crypto import canonical
from mohawk.crypto.tpm_primitives import TpmHash
from mohawk.errors import ArtifactError, HostError
from mohawk.host.files import read_file, write_file
from mohawk.host.tpm import Tpm

_FORMAT = "mie-code-history-1"
_KEYS = ("code_digests", "code_events", "format", *BANKS)
_MAXIMUM_FILE = 16 * 1024


@dataclass(frozen=True, slots=True)
class MeasuredCode:
    """`boot`: PCR 14 before `history`, in each bank that is switched on."""

    boot: Mapping[TpmHash, bytes]
    history: CodeHistory

    def explains(self, current: Mapping[TpmHash, bytes]) -> bool:
        return self.boot.keys() == current.keys() and all(
            self.history.replay(bank, value) == current[bank] for bank, value in self.boot.items()
        )


def settle(tpm: Tpm, path: Path) -> MeasuredCode:
    """What the file knows, if PCR 14 agrees; else a history that begins with what PCR 14 holds. Raises HostError."""
    current = _read_register(tpm)
    stored = _read(path)
    if stored is not None:
        unmeasured = MeasuredCode(stored.boot, CodeHistory(stored.history.events[:-1]))
        for candidate in (stored, unmeasured):
            if candidate.explains(current):
                return candidate
    return MeasuredCode(current, CodeHistory())


def measure(tpm: Tpm, path: Path, event: CodeEvent) -> None:
    """Write `event` down, then extend PCR 14 by it. Raises HostError: among others, when no more events fit."""
    settled = settle(tpm, path)
    try:
        history = settled.history.then(event)
    except EvidenceError as error:
        raise HostError(error.message, hint=error.hint) from None
    _write(path, MeasuredCode(settled.boot, history))
    tpm.measure(PCR, event.measured())


def _read_register(tpm: Tpm) -> dict[TpmHash, bytes]:
    return {bank: tpm.read_pcrs(bank, [PCR])[PCR] for bank in tpm.banks()}


def _read(path: Path) -> MeasuredCode | None:
    if not path.exists():
        return None
    try:
        fields = canonical.decode(read_file(path, _MAXIMUM_FILE), _MAXIMUM_FILE, _KEYS)
        fields.require("format", _FORMAT)
        digests = fields.blob("code_digests", MAXIMUM_DIGESTS * 32)
        history = parse_history(digests, fields.blob("code_events", MAXIMUM_EVENTS))
        values = {bank: fields.blob(name, bank.size) for name, bank in BANKS.items()}
    except (ArtifactError, EvidenceError):
        raise HostError(
            f"{path.name}, the history of what ran here, is damaged", hint="restart the machine, and remove the file"
        ) from None
    return MeasuredCode({bank: value for bank, value in values.items() if value}, history)


def _write(path: Path, code: MeasuredCode) -> None:
    digests, events = code.history.encode()
    boot: dict[str, canonical.Json] = {name: code.boot.get(bank, b"") for name, bank in BANKS.items()}
    write_file(path, canonical.encode({"code_digests": digests, "code_events": events, "format": _FORMAT, **boot}))
