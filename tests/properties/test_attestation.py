"""Whatever bytes arrive as evidence, identity, TPM structure, event log or policy: parsed, or one typed error.

Nothing here needs a TPM; memory stays bounded because every length is checked before it is used.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mohawk.attestation.appraisal import appraise
from mohawk.attestation.challenge import Challenge
from mohawk.attestation.code_history import CodeEvent, CodeHistory, parse_history
from mohawk.attestation.enrolment import parse_enrolment, parse_identity
from mohawk.attestation.event_log import MAXIMUM_LOG, parse_event_log
from mohawk.attestation.evidence import parse_evidence
from mohawk.attestation.policy import Policy, parse_policy
from mohawk.attestation.reasons import EvidenceError
from mohawk.attestation.structures import parse_public, parse_quote, parse_signature
from mohawk.crypto.endorsement import parse_endorsement
from mohawk.crypto.tpm_primitives import (
    RsaPublic,
    Scheme,
    TpmHash,
    TpmSignature,
    make_credential,
    require_strong,
    verify_signature,
)
from mohawk.errors import MohawkError, RemoteError, UsageError
from mohawk.host.tpm_keys import TEMPLATES
from mohawk.host.tpm_session import sized
from tests.support.attestation_samples import CODE, evidence, identity, record, vendor
from tests.support.boot_log import boot, encode
from tests.support.endorsements import NOW

PARSERS: dict[str, tuple[Callable[[bytes], Any], Callable[[], bytes]]] = {
    "evidence": (parse_evidence, lambda: evidence().encode()),
    "identity": (parse_identity, lambda: identity().encode()),
    "enrolment": (parse_enrolment, lambda: record().encode()),
    "public": (parse_public, lambda: identity().ak_public),
    "endorsement key": (parse_public, lambda: sized(TEMPLATES[0].public)),
    "quote": (parse_quote, lambda: evidence().quote),
    "signature": (parse_signature, lambda: evidence().signature),
    "certificate": (parse_endorsement, lambda: identity().ek_certificate),
    "log": (lambda data: parse_event_log(data, MAXIMUM_LOG), lambda: encode(boot(), locality=3)),
}
each_parser = pytest.mark.parametrize("name", PARSERS)


def parse(name: str, data: bytes) -> object | None:
    with contextlib.suppress(RemoteError):
        return PARSERS[name][0](data)
    return None


@each_parser
def test_the_samples_are_read(name: str) -> None:
    assert parse(name, PARSERS[name][1]()) is not None


@each_parser
@settings(max_examples=60)
@given(data=st.binary(max_size=300))
def test_any_bytes(name: str, data: bytes) -> None:
    parse(name, data)


@each_parser
@settings(max_examples=150)
@given(at=st.integers(0, 1 << 16), patch=st.binary(min_size=1, max_size=5), cut=st.integers(0, 3))
def test_changed_bytes(name: str, at: int, patch: bytes, cut: int) -> None:
    """Overwritten, inserted, or cut off there."""
    good = PARSERS[name][1]()
    at %= len(good)
    ends = {0: good[at + len(patch) :], 1: good[at:], 2: b"", 3: good[at + 1 :]}
    parse(name, good[:at] + (b"" if cut >= 2 else patch) + ends[cut])


@each_parser
def test_cut_off_anywhere_or_longer(name: str) -> None:
    good = PARSERS[name][1]()
    for end in range(0, len(good), max(1, len(good) // 500)):
        if name == "log":
            parse(name, good[:end])  # a log that ends between two events is a log
        else:
            assert parse(name, good[:end]) is None
    assert parse(name, good + b"\0") is None


@pytest.mark.parametrize("name", ["evidence", "identity", "enrolment"])
@settings(max_examples=150)
@given(at=st.integers(0, 1 << 16), value=st.integers(0, 255))
def test_what_is_read_has_one_spelling(name: str, at: int, value: int) -> None:
    data = bytearray(PARSERS[name][1]())
    data[at % len(data)] = value
    found: Any = parse(name, bytes(data))
    if found is not None:
        assert found.encode() == bytes(data)


@settings(max_examples=150)
@given(at=st.integers(0, 1 << 16), patch=st.binary(min_size=1, max_size=4))
def test_keys_that_are_read_are_used_or_refused(at: int, patch: bytes) -> None:
    """Numbers that are no key must not reach the library's inner errors."""
    for good in (identity().ak_public, sized(TEMPLATES[0].public)):
        data = bytearray(good)
        position = 2 + at % (len(good) - 2)
        data[position : position + len(patch)] = patch
        with contextlib.suppress(EvidenceError):
            key = parse_public(bytes(data[: len(good)])).key
            with contextlib.suppress(RemoteError):
                require_strong(key)
            with contextlib.suppress(RemoteError):
                verify_signature(key, parse_signature(evidence().signature), evidence().quote)


@settings(max_examples=100)
@given(modulus=st.integers(1 << 2047, (1 << 2100) - 1), value=st.binary(max_size=300))
def test_moduli_that_are_none(modulus: int, value: bytes) -> None:
    for scheme in (Scheme.RSASSA, Scheme.RSAPSS):
        with contextlib.suppress(RemoteError):
            verify_signature(RsaPublic(modulus), TpmSignature(scheme, TpmHash.SHA256, (value,)), b"m")
    with contextlib.suppress(RemoteError):
        make_credential(RsaPublic(modulus), b"name", b"secret")


# ---- logs and histories ---------------------------------------------------------------------------------------------

EVENTS = st.lists(
    st.builds(CodeEvent, st.sampled_from([bytes([n]) * 32 for n in range(5)]), st.booleans()), max_size=40
)


@settings(max_examples=100)
@given(events=EVENTS)
def test_a_history_is_read_as_it_was_written(events: list[CodeEvent]) -> None:
    history = CodeHistory(tuple(events))
    assert parse_history(*history.encode()) == history


@settings(max_examples=150)
@given(joined=st.binary(max_size=200), steps=st.binary(max_size=40))
def test_any_bytes_are_a_history_or_refused(joined: bytes, steps: bytes) -> None:
    with contextlib.suppress(EvidenceError):
        assert parse_history(joined, steps).encode() == (joined, steps)


@settings(max_examples=100)
@given(events=EVENTS, boot=st.binary(min_size=32, max_size=32))
def test_histories_that_differ_lead_elsewhere(events: list[CodeEvent], boot: bytes) -> None:
    history = CodeHistory(tuple(events))
    value = history.replay(TpmHash.SHA256, boot)
    for other in (history.then(CodeEvent(CODE)), history.then(CodeEvent(CODE, is_stop=True))):
        assert other.replay(TpmHash.SHA256, boot) != value


@settings(max_examples=60)
@given(pcrs=st.frozensets(st.integers(0, 23)), bank=st.sampled_from(TpmHash), locality=st.sampled_from([0, 3, 4]))
def test_a_condensed_log_replays_the_same(pcrs: frozenset[int], bank: TpmHash, locality: int) -> None:
    whole = parse_event_log(encode(boot(), locality=locality), MAXIMUM_LOG)
    condensed = parse_event_log(whole.condense(bank, pcrs).encode(), MAXIMUM_LOG)
    assert condensed.replay(bank) == {index: value for index, value in whole.replay(bank).items() if index in pcrs}
    assert condensed.encode() == whole.condense(bank, pcrs).encode()


# ---- policies, and everything together ------------------------------------------------------------------------------

VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=70) | st.lists(st.integers(), max_size=3)
VALUES |= st.dictionaries(st.text(max_size=5), st.integers(), max_size=2)


def document() -> dict[str, Any]:
    pcrs = [{"allowed": [(b"%02d" % index * 16).hex()], "index": index} for index in (0, 2, 4, 7)]
    code = {"allowed": [CODE.hex()], "boot": ["00" * 32]}
    rules = {"bank": "sha256", "code": code, "event_log": "optional", "firmware": ["0123456789abcdef"], "pcrs": pcrs}
    return {
        "class": "tpm",
        "format": "mie-attestation-policy-1",
        "tpm": rules | {"ek_roots": vendor().pem.decode()},
    }


def policy() -> Policy:
    return parse_policy(document())


def test_a_policy_is_read_as_it_is_written() -> None:
    assert policy().document() == document()


PATHS = [("class",), ("format",), ("tpm",), *(("tpm", key) for key in document()["tpm"])]
PATHS += [("tpm", "code", "allowed"), ("tpm", "code", "boot"), ("tpm", "pcrs", 0), ("tpm", "pcrs", 0, "allowed")]
PATHS += [("tpm", "pcrs", 0, "index"), ("tpm", "pcrs", 0, "allowed", 0), ("tpm", "code", "allowed", 0)]


@settings(max_examples=200)
@given(path=st.sampled_from(PATHS), value=VALUES)
def test_any_value_in_any_field_of_a_policy(path: tuple[str | int, ...], value: object) -> None:
    changed: Any = json.loads(json.dumps(document()))
    where = changed
    for step in path[:-1]:
        where = where[step]
    where[path[-1]] = value
    with contextlib.suppress(UsageError):
        assert parse_policy(parse_policy(changed).document()) == parse_policy(changed)


@settings(max_examples=100)
@given(at=st.integers(0, 1 << 16), patch=st.binary(min_size=1, max_size=4))
def test_an_appraisal_of_anything_that_was_read_is_a_verdict(at: int, patch: bytes) -> None:
    """Never an approval, and never an error other than the verdict's."""
    data = bytearray(evidence().encode())
    data[6 + at % (len(data) - 6)] = patch[0]
    challenge = Challenge(b"n" * 32, b"r" * 32, record().name, b"e" * 32, b"m" * 32, NOW)
    with contextlib.suppress(EvidenceError):
        verdict = appraise(policy(), parse_evidence(bytes(data)), record(), challenge, NOW)
        assert verdict.reasons
        with pytest.raises(MohawkError):
            verdict.require()
