"""Protects which TPM is whose: the certificate's key, the template's attributes, a proof bound to name and connection."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from mohawk.attestation.enrolment import TpmIdentity, activation_proof, offer_enrolment, parse_enrolment, parse_identity
from mohawk.attestation.reasons import EvidenceError, Reason
from mohawk.attestation.structures import Counters
from mohawk.crypto.endorsement import VendorRoots
from mohawk.host.tpm_session import sized
from tests.support.attestation_samples import identity, record, vendor
from tests.support.endorsements import NOW, Maker, der, new_key

ROOTS = VendorRoots.parse(vendor().pem)
SECRET, EXPORTER = b"s" * 32, b"e" * 32


def test_enrolled_after_the_proof() -> None:
    offer = offer_enrolment(record().name, identity(), ROOTS, SECRET, NOW)
    enrolled = offer.complete(activation_proof(SECRET, record().name, EXPORTER, identity()), EXPORTER, NOW)
    assert enrolled.counters == Counters(0, 0, 0)
    assert enrolled.ek_hash == sha256(identity().ek_public[2:]).hexdigest()
    assert enrolled.ak_name == b"\x00\x0b" + sha256(identity().ak_public[2:]).digest()
    for proof in (b"", b"x" * 32, activation_proof(b"t" * 32, record().name, EXPORTER, identity())):
        with pytest.raises(EvidenceError) as refusal:
            offer.complete(proof, EXPORTER, NOW)
        assert refusal.value.reason is Reason.PROOF
    assert "ssss" not in repr(offer)


def changed_attributes(data: bytes, attributes: int) -> bytes:
    return data[:6] + attributes.to_bytes(4, "big") + data[10:]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"ek_certificate": der(vendor().issue(new_key().public_key()))}, Reason.ENDORSEMENT_KEY),
        ({"ek_certificate": der(Maker("stranger").issue(new_key().public_key()))}, Reason.VENDOR),
        ({"ek_certificate": b"rubbish"}, Reason.VENDOR),
        ({"ek_public": identity().ak_public}, Reason.ENDORSEMENT_KEY),
        ({"ek_public": changed_attributes(identity().ek_public, 0x000700B2)}, Reason.ENDORSEMENT_KEY),
        ({"ek_public": changed_attributes(identity().ek_public, 0x000200B2)}, Reason.ENDORSEMENT_KEY),
        ({"ak_public": identity().ek_public}, Reason.KEY_ATTRIBUTES),
    ],
    ids=["another key's", "stranger's", "rubbish", "signing key", "may sign", "unrestricted", "decryption key"],
)
def test_identities_that_are_refused(changed: dict[str, bytes], reason: Reason) -> None:
    with pytest.raises(EvidenceError) as refusal:
        offer_enrolment(record().name, replace(identity(), **changed), ROOTS, SECRET, NOW)
    assert refusal.value.reason is reason


def test_what_travels_and_what_is_kept_reads_back() -> None:
    assert parse_identity(identity().encode()) == identity()
    assert parse_enrolment(record().encode()) == record()


def test_a_binding_is_names_and_keys() -> None:
    later = record().advanced(Counters(9, 0, 0))
    assert later.binding() == record().binding()
    with pytest.raises(EvidenceError):
        later.advanced(record().counters)
    other = TpmIdentity(identity().ek_certificate, identity().ek_public, identity().ek_public)
    assert replace(record(), identity=other).binding() != record().binding()


def test_keys_of_other_templates() -> None:
    area = bytearray(identity().ek_public[2:])
    area[2:4] = b"\x00\x0c"
    with pytest.raises(EvidenceError) as refusal:
        replace(identity(), ek_public=sized(bytes(area))).check_keys()
    assert refusal.value.reason is Reason.ENDORSEMENT_KEY
