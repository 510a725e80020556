"""T15: the policy file is missing, empty, damaged, or holds something that nobody asked about.

Expected: an error, hence no policy and no release; never a default.

Defence: attestation/policy.py:parse_policy; removed, a file that was cut off, or a misspelt field, means "allow".
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mohawk.attestation.evidence import EvidenceClass
from mohawk.errors import HostError, UsageError
from mohawk.host.policy_file import read_policy
from tests.support.machines import policy_document
from tests.support.swtpm import Vendor


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(HostError):
        read_policy(tmp_path / "policy.yaml")


@pytest.mark.parametrize("text", ["", "\n", "null", "[]", "tpm", "{", "class: tpm\nformat: [", "class: software"])
def test_empty_or_cut_off(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError):
        read_policy(written(tmp_path / "policy.yaml", text))


def test_a_policy_is_read_as_it_is_written(tmp_path: Path, vendor: Vendor) -> None:
    document = policy_document(vendor.roots)
    policy = read_policy(written(tmp_path / "policy.yaml", json.dumps(document)))
    assert policy.required is EvidenceClass.TPM
    assert policy.document() == document


def drop(document: dict[str, Any], *path: str) -> dict[str, Any]:
    where = document
    for step in path[:-1]:
        where = where[step]
    del where[path[-1]]
    return document


FIELDS = [("class",), ("format",), ("tpm",), *(("tpm", one) for one in ("bank", "code", "ek_roots", "event_log"))]
FIELDS += [("tpm", "firmware"), ("tpm", "pcrs"), ("tpm", "code", "allowed"), ("tpm", "code", "boot")]


@pytest.mark.parametrize("path", FIELDS, ids=".".join)
def test_a_field_that_is_missing(tmp_path: Path, vendor: Vendor, path: tuple[str, ...]) -> None:
    document = drop(policy_document(vendor.roots), *path)
    with pytest.raises(UsageError):
        read_policy(written(tmp_path / "policy.yaml", json.dumps(document)))


@pytest.mark.parametrize("where", ["", "tpm", "code"])
def test_a_field_that_nobody_asked_about(tmp_path: Path, vendor: Vendor, where: str) -> None:
    document = policy_document(vendor.roots)
    {"": document, "tpm": document["tpm"], "code": document["tpm"]["code"]}[where]["allow_all"] = 1
    with pytest.raises(UsageError, match="unknown fields"):
        read_policy(written(tmp_path / "policy.yaml", json.dumps(document)))
