"""What a machine must show before it is given a key: an operator's file as one value (docs/spec/attestation.md 6, 9).

Rules, and the attack each stops:

1. Default deny: what the policy does not name is refused, an unknown field included; there is no wildcard for a PCR or
   for code.
2. The boot path is always in it (PCRs 0, 2, 4, 7, and the service's code in 14), resettable registers never are: with
   one of 16 to 23, software writes the value that the policy wants (T06).
3. Values that mean "nothing was measured" cannot be allowed (T07).
4. The policy has a digest, which verdicts carry: what was decided under another policy is seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from mohawk.attestation.code_history import DIGEST_SIZE
from mohawk.attestation.code_history import PCR as CODE_PCR
from mohawk.attestation.evidence import BANKS, EvidenceClass, TpmEvidence
from mohawk.crypto import canonical
from mohawk.crypto.canonical import Fields, Json
from mohawk.crypto.endorsement import VendorRoots
from mohawk.crypto.primitives import sha256
from mohawk.crypto.tpm_primitives import TpmHash
from mohawk.errors import ArtifactError, UsageError

_Value = TypeVar("_Value")

FORMAT = "mie-attestation-policy-1"
BOOT_PCRS = frozenset({0, 2, 4, 7})
_ALLOWED_PCRS = frozenset(range(16)) - {CODE_PCR}
_MOST_VALUES = 64
_MOST_PEM = 512 * 1024
_FIRMWARE_SIZE = 8
_TPM_KEYS = ("bank", "code", "ek_roots", "event_log", "firmware", "pcrs")
_HINT = "docs/spec/attestation.md 9 lists the fields of a policy"


@dataclass(frozen=True, slots=True)
class TpmRules:
    """The rules for quotes. `pcrs`: allowed values by index; `code_boot`: of PCR 14 before the service's first event;
    `firmware`: allowed versions, empty for all; `ek_roots`: PEM. Raises UsageError when built weaker than allowed.
    """

    bank: TpmHash
    pcrs: Mapping[int, frozenset[bytes]]
    code_boot: frozenset[bytes]
    code: frozenset[bytes]
    ek_roots: str
    firmware: frozenset[int]
    is_log_required: bool
    roots: VendorRoots = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.pcrs.keys() >= BOOT_PCRS:
            raise _wrong("a policy without PCRs 0, 2, 4 and 7 would not see the firmware and boot loader", "pcrs")
        if not self.pcrs.keys() <= _ALLOWED_PCRS:
            raise _wrong("a policy may name PCRs 0 to 13 and 15: software can reset those above", "pcrs")
        for index, values in self.pcrs.items():
            if any(is_unmeasured(value) for value in values):
                raise _wrong(f"PCR {index} may not be allowed a value that means that nothing was measured", "pcrs")
        for values in (*self.pcrs.values(), self.code_boot):
            if not 1 <= len(values) <= _MOST_VALUES or any(len(value) != self.bank.size for value in values):
                raise _wrong("1 to 64 values of the bank's size are needed for each PCR", "pcrs")
        if not 1 <= len(self.code) <= _MOST_VALUES or any(len(digest) != DIGEST_SIZE for digest in self.code):
            raise _wrong("1 to 64 code digests are needed", "code")
        object.__setattr__(self, "pcrs", MappingProxyType(dict(self.pcrs)))
        object.__setattr__(self, "roots", VendorRoots.parse(self.ek_roots.encode("utf-8", "replace")))

    @property
    def selection(self) -> frozenset[int]:
        """What a quote must select, exactly."""
        return frozenset(self.pcrs) | {CODE_PCR}

    def document(self) -> dict[str, Json]:
        return {
            "bank": self.bank.name.lower(),
            "code": {"allowed": _hexadecimal(self.code), "boot": _hexadecimal(self.code_boot)},
            "ek_roots": self.ek_roots,
            "event_log": "required" if self.is_log_required else "optional",
            "firmware": _hexadecimal(version.to_bytes(_FIRMWARE_SIZE, "big") for version in self.firmware),
            "pcrs": [{"allowed": _hexadecimal(self.pcrs[index]), "index": index} for index in sorted(self.pcrs)],
        }


@dataclass(frozen=True, slots=True)
class Policy:
    """`required`: the least class that is accepted. `tpm`: None where no quote can be judged."""

    required: EvidenceClass
    tpm: TpmRules | None

    def __post_init__(self) -> None:
        if self.required is EvidenceClass.TPM and self.tpm is None:
            raise _wrong("a policy that asks for a TPM needs rules for its quotes", "tpm")

    def document(self) -> dict[str, Json]:
        """The one form of this policy, as `parse_policy` takes it."""
        head: dict[str, Json] = {"class": self.required.word, "format": FORMAT}
        return head if self.tpm is None else head | {"tpm": self.tpm.document()}

    def digest(self) -> bytes:
        return sha256(canonical.encode(self.document()))


def parse_policy(document: object) -> Policy:
    """From what a YAML or JSON file holds: mappings, lists, texts and whole numbers. Raises UsageError."""
    try:
        has_rules = isinstance(document, dict) and "tpm" in document
        fields = Fields(document, ("class", "format", "tpm") if has_rules else ("class", "format"))
        fields.require("format", FORMAT)
        rules = _parse_rules(fields.nested("tpm", _TPM_KEYS)) if has_rules else None
        return Policy(_choice(fields.text("class"), {one.word: one for one in EvidenceClass}, "class"), rules)
    except ArtifactError as error:
        raise UsageError(f"not an attestation policy: {error.message}", hint=_HINT) from None


def draft_policy(evidence: TpmEvidence, ek_roots: str, *, is_log_required: bool) -> Policy:
    """A policy that this machine meets as it is now: for an operator who holds it for good, and reads it before use.

    Raises UsageError: it did not measure its boot, or did not show the whole boot path.
    """
    values = dict(evidence.values)
    values.pop(CODE_PCR, None)
    rules = TpmRules(
        bank=evidence.bank,
        pcrs={index: frozenset({value}) for index, value in values.items()},
        code_boot=frozenset({evidence.boot}),
        code=frozenset(event.digest for event in evidence.history.events),
        ek_roots=ek_roots,
        firmware=frozenset(),
        is_log_required=is_log_required,
    )
    return Policy(EvidenceClass.TPM, rules)


def _parse_rules(fields: Fields) -> TpmRules:
    bank = _choice(fields.text("bank"), BANKS, "bank")
    code = fields.nested("code", ("allowed", "boot"))
    pcrs: dict[int, frozenset[bytes]] = {}
    for entry in fields.items("pcrs", len(_ALLOWED_PCRS), ("allowed", "index")):
        index = entry.whole("index", 0, 23)
        if index in pcrs:
            raise _wrong(f"PCR {index} stands in the policy twice", "pcrs")
        pcrs[index] = _digests(entry, "allowed", bank.size)
    return TpmRules(
        bank=bank,
        pcrs=pcrs,
        code_boot=_digests(code, "boot", bank.size),
        code=_digests(code, "allowed", DIGEST_SIZE),
        ek_roots=fields.text("ek_roots", _MOST_PEM),
        firmware=frozenset(int.from_bytes(one, "big") for one in _digests(fields, "firmware", _FIRMWARE_SIZE)),
        is_log_required=_choice(fields.text("event_log"), {"required": True, "optional": False}, "event_log"),
    )


def is_unmeasured(value: bytes) -> bool:
    """All bits clear, or all set: what a PCR holds that nobody extended."""
    return set(value) in ({0x00}, {0xFF})


def _choice(word: str, choices: Mapping[str, _Value], name: str) -> _Value:
    if word not in choices:
        raise _wrong(f"{name} must be one of: {', '.join(choices)}", name)
    return choices[word]


def _digests(fields: Fields, key: str, size: int) -> frozenset[bytes]:
    """Different values of `size` bytes each, in lower-case hexadecimal."""
    texts = fields.texts(key, _MOST_VALUES, 2 * size)
    try:
        values = frozenset(map(bytes.fromhex, texts))
    except ValueError:
        raise _wrong(f"{key} holds something that is not hexadecimal", key) from None
    if sorted(value.hex() for value in values) != sorted(texts) or any(len(value) != size for value in values):
        raise _wrong(f"{key} needs different values of {2 * size} lower-case hexadecimal digits", key)
    return values


def _hexadecimal(values: Iterable[bytes]) -> list[Json]:
    return [value.hex() for value in sorted(values)]


def _wrong(message: str, name: str) -> UsageError:
    return UsageError(message, hint=_HINT, field=name)
