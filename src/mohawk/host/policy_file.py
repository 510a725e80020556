"""The attestation policy on disk (docs/spec/attestation.md 9)."""

from __future__ import annotations

from pathlib import Path

from mohawk.attestation.policy import Policy, parse_policy
from mohawk.host.yaml_file import read_yaml

_MAXIMUM_FILE = 1 << 20


def read_policy(path: Path) -> Policy:
    """Raises HostError (missing or unreadable: then nothing is released), UsageError (not a policy)."""
    return parse_policy(read_yaml(path, _MAXIMUM_FILE))
