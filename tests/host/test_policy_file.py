"""Protects the policy as a person wrote it: what stands there once is what holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from mohawk.attestation.evidence import EvidenceClass
from mohawk.errors import UsageError
from mohawk.host.policy_file import read_policy
from tests.support.endorsements import Maker

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


def written(folder: Path, content: str) -> Path:
    (folder / "policy.yaml").write_text(content)
    return folder / "policy.yaml"


def test_as_the_documentation_shows_it(tmp_path: Path) -> None:
    policy = read_policy(written(tmp_path, text()))
    assert policy.required is EvidenceClass.TPM
    assert policy.tpm is not None
    assert policy.tpm.selection == {0, 2, 4, 7, 14}
    assert len(policy.digest()) == 32
    assert policy.digest() != read_policy(written(tmp_path, text().replace("class: tpm", "class: tee"))).digest()


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
def test_what_yaml_would_let_pass(tmp_path: Path, more: str) -> None:
    with pytest.raises(UsageError):
        read_policy(written(tmp_path, text() + more))
