"""Protects the policy as a person wrote it: what stands there once is what holds, and who laid it down is on record."""

from __future__ import annotations

from pathlib import Path

import pytest

from mohawk.attestation.evidence import EvidenceClass
from mohawk.audit.events import AuditEvent, EventKind
from mohawk.errors import HostError, UsageError
from mohawk.host.authority import AuthorityFolder
from mohawk.host.release_policy import NAME, ReleasePolicy, parse
from tests.support.audit import Heard
from tests.support.endorsements import Maker
from tests.support.tls import DOMAIN, utc_now

DIGEST = "ab" * 32


def text() -> str:
    """As the documentation shows it."""
    pem = "".join(f"    {line}\n" for line in Maker().pem.decode().splitlines())
    pcrs = "".join(f"    - {{index: {index}, allowed: [{DIGEST}]}}\n" for index in (0, 2, 4, 7))
    return (
        "format: mie-attestation-policy-1\nclass: tpm\ntpm:\n  bank: sha256\n"
        f"  pcrs:\n{pcrs}  code:\n    boot: ['{'00' * 32}']\n    allowed: [{DIGEST}]\n"
        f"  ek_roots: |\n{pem}  firmware: []\n  event_log: optional\n"
    )


@pytest.fixture
def policies(tmp_path: Path) -> ReleasePolicy:
    authority = AuthorityFolder(tmp_path / "pki")
    authority.initialise(DOMAIN, utc_now())
    return ReleasePolicy(authority)


def test_as_the_documentation_shows_it() -> None:
    policy = parse(text().encode())
    assert policy.required is EvidenceClass.TPM
    assert policy.tpm is not None
    assert policy.tpm.selection == {0, 2, 4, 7, 14}
    assert len(policy.digest()) == 32
    assert policy.digest() != parse(text().replace("class: tpm", "class: tee").encode()).digest()


@pytest.mark.parametrize(
    "more",
    [
        "class: software\n",
        "  bank: sha384\n",
        "  more: &a [x]\n  again: *a\n",
        "  more: !!python/object/apply:os.getcwd []\n",
        "  when: 2026-01-01\n",
    ],
    ids=["key twice", "inner key twice", "alias", "tag", "date"],
)
def test_what_yaml_would_let_pass(more: str) -> None:
    with pytest.raises(UsageError):
        parse((text() + more).encode())


def test_a_policy_is_laid_down_once_replaced_by_what_was_approved_and_on_record(policies: ReleasePolicy) -> None:
    content, heard = text().encode(), Heard()
    first = policies.initialise(content, heard.record)
    assert policies.read() == first
    assert policies.read_text() == content
    assert heard.events == [AuditEvent(EventKind.POLICY_CHANGED, NAME, {"policy": first.digest().hex()})]
    stricter = content.replace(b"optional", b"required")
    policies.replace(stricter)
    assert policies.read_text() == stricter


def test_what_cannot_be_recorded_is_not_laid_down(policies: ReleasePolicy) -> None:
    def fail(_event: AuditEvent) -> None:
        raise HostError("the disk is full")

    with pytest.raises(HostError, match="full"):
        policies.initialise(text().encode(), fail)
    assert not policies.exists
