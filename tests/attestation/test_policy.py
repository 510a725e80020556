"""Protects what a machine must show: nothing that says "anything will do" can be written down."""

from __future__ import annotations

from typing import Any

import pytest

from mohawk.attestation.evidence import EvidenceClass
from mohawk.attestation.policy import Policy, parse_policy
from mohawk.crypto.tpm_primitives import TpmHash
from mohawk.errors import UsageError
from tests.support.attestation_samples import vendor
from tests.support.machines import policy_document

GOOD = "ab" * 32


def document(**changed: Any) -> dict[str, Any]:
    return policy_document(vendor().pem.decode(), **changed)


def pcrs(**changed: Any) -> list[dict[str, Any]]:
    return [{"allowed": [GOOD], "index": index} | (changed if index == 4 else {}) for index in (0, 2, 4, 7)]


def test_a_policy_and_its_digest() -> None:
    policy = parse_policy(document())
    assert policy.tpm is not None
    assert (policy.required, policy.tpm.bank) == (EvidenceClass.TPM, TpmHash.SHA256)
    assert policy.tpm.selection == {0, 2, 4, 7, 14}
    again = parse_policy(document(pcrs=list(reversed(document()["tpm"]["pcrs"]))))
    assert again.digest() == policy.digest()
    for other in (document(event_log="optional"), document(firmware=["00" * 8]), document() | {"class": "tee"}):
        assert parse_policy(other).digest() != policy.digest()


def test_sha384() -> None:
    code = {"allowed": [GOOD], "boot": ["00" * 48]}
    rules = parse_policy(
        document(bank="sha384", code=code, pcrs=[one | {"allowed": ["ab" * 48]} for one in pcrs()])
    ).tpm
    assert rules is not None
    assert rules.bank is TpmHash.SHA384


@pytest.mark.parametrize("word", ["software", "tee"])
def test_classes_that_need_no_rules(word: str) -> None:
    policy = parse_policy({"class": word, "format": "mie-attestation-policy-1"})
    assert (policy.required.word, policy.tpm) == (word, None)
    with pytest.raises(UsageError, match="rules"):
        parse_policy({"class": "tpm", "format": "mie-attestation-policy-1"})
    with pytest.raises(UsageError, match="rules"):
        Policy(EvidenceClass.TPM, None)


@pytest.mark.parametrize(
    "changed",
    [
        {"bank": "sha1"},
        {"bank": 11},
        {"pcrs": []},
        {"pcrs": pcrs()[:3]},
        {"pcrs": [*pcrs(), *pcrs()[:1]]},
        {"pcrs": [*pcrs(), {"allowed": [GOOD], "index": 16}]},
        {"pcrs": pcrs(allowed=[])},
        {"pcrs": pcrs(allowed=["*"])},
        {"pcrs": pcrs(allowed=["any"])},
        {"pcrs": pcrs(allowed=[GOOD.upper()])},
        {"pcrs": pcrs(allowed=[GOOD, GOOD])},
        {"pcrs": pcrs(allowed=["ab" * 20])},
        {"pcrs": pcrs(allowed=["ab" * 48])},
        {"pcrs": pcrs(allowed=[f"{number:064x}" for number in range(1, 66)])},
        {"pcrs": pcrs(allowed=GOOD)},
        {"pcrs": pcrs(index="4")},
        {"pcrs": pcrs(index=True)},
        {"pcrs": {0: [GOOD]}},
        {"code": {"allowed": [], "boot": ["00" * 32]}},
        {"code": {"allowed": [GOOD], "boot": []}},
        {"code": {"allowed": [GOOD]}},
        {"ek_roots": ""},
        {"ek_roots": "trust everybody"},
        {"ek_roots": "\ud800"},
        {"firmware": ["1"]},
        {"firmware": [1]},
        {"firmware": None},
        {"event_log": True},
        {"event_log": "maybe"},
        {"anything": 1},
    ],
    ids=str,
)
def test_what_cannot_be_written(changed: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as refusal:
        parse_policy(document(**changed))
    assert refusal.value.hint


@pytest.mark.parametrize("whole", [None, [], "tpm", 1, {}, {"class": "tpm"}, {1: 2}])
def test_what_is_no_policy(whole: object) -> None:
    with pytest.raises(UsageError):
        parse_policy(whole)
