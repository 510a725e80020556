"""Evidence, records and identities that read as they should, without a TPM: for parsers. Their signatures are worth
nothing.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256

from mohawk.attestation.code_history import CodeEvent, CodeHistory
from mohawk.attestation.enrolment import Enrolment, TpmIdentity
from mohawk.attestation.evidence import TpmEvidence
from mohawk.attestation.structures import Counters, Selection
from mohawk.crypto.tpm_primitives import TpmHash
from mohawk.host.tpm_keys import TEMPLATES
from mohawk.host.tpm_session import sized
from mohawk.identity.names import NodeName, Role
from tests.support.boot_log import SHA256, boot, encode
from tests.support.endorsements import NOW, Maker, der, new_key
from tests.support.forged_quotes import sign_in_software, software_key_area, statement

CODE = sha256(b"code").digest()
HISTORY = CodeHistory((CodeEvent(CODE), CodeEvent(CODE, is_stop=True), CodeEvent(CODE)))
KEY = new_key()
SELECTION = Selection(TpmHash.SHA256, frozenset({0, 7, 14}))
VALUES = tuple((index, bytes([index + 1]) * 32) for index in sorted(SELECTION.pcrs))


@cache
def evidence() -> TpmEvidence:
    quote = statement(signer=b"s" * 34, extra=b"x" * 32, selection=SELECTION, values=[value for _, value in VALUES])
    log = encode([one for one in boot() if one.pcr in (0, 7)], [SHA256])
    return TpmEvidence(quote, sign_in_software(KEY, quote), TpmHash.SHA256, VALUES, bytes(32), HISTORY, log, "")


@cache
def identity() -> TpmIdentity:
    numbers = new_key().public_key().public_numbers()
    template = TEMPLATES[1].public[: -2 * 34]
    area = template + sized(numbers.x.to_bytes(32, "big")) + sized(numbers.y.to_bytes(32, "big"))
    return TpmIdentity(der(vendor().issue(numbers.public_key())), sized(area), sized(software_key_area(KEY)))


@cache
def vendor() -> Maker:
    return Maker()


@cache
def record() -> Enrolment:
    return Enrolment(NodeName("mesh.example", Role.WORKER, "w1"), identity(), Counters(3, 1, 1000), NOW)
