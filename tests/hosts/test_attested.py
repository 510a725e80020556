"""An operator's whole way with attestation, command by command: look at the machine, draft a policy, lay it down, name
the TPM, serve, verify, change the policy by two; and what happens to a worker whose machine changes.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.hosts.network import missing
from tests.hosts.site import HostedCluster, hosted
from tests.hosts.test_joining import ASKED, recorded
from tests.support.boot_log import boot, encode
from tests.support.models import build_model
from tests.support.swtpm import Swtpm

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xdist_group("hosts"),
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]


def test_from_a_bare_machine_to_an_attested_worker_and_back(tmp_path: Path, first_tpm: Swtpm) -> None:
    source = build_model(tmp_path / "tiny", "llama")
    first_tpm.boot()
    with hosted(tmp_path / "hosts", "operator", "w1") as cluster:
        machine = Machine(cluster.home("w1"), first_tpm)
        cluster.prepare(source, ("w1",))
        start_with_policy(cluster, machine)
        verdict = json.loads(verify(cluster))
        assert (verdict["accepted"], verdict["evidence"]) == (True, "tpm")
        assert verdict["tpm"] == machine.ek_hash
        status, _ = cluster.ask("operator", ASKED)
        assert status == 200
        change_the_policy(cluster, machine)
        lose_the_machine(cluster, machine)


class Machine:
    """A worker's, in its folder: its TPM, and what its firmware logged."""

    def __init__(self, home: Path, tpm: Swtpm) -> None:
        self.tpm = tpm
        home.mkdir(parents=True)
        self.log = home / "firmware.log"
        self.log.write_bytes(encode(boot()))
        self.roots = home / "vendor.pem"
        self.roots.write_text(tpm.vendor.roots)
        self.ek_hash = ""

    @property
    def options(self) -> tuple[object, ...]:
        return ("--tpm", self.tpm.path, "--firmware-log", self.log)


def start_with_policy(cluster: HostedCluster, machine: Machine) -> None:
    """The worker joins and runs; its policy is drafted from it as it is, laid down, and asked from the first key on."""
    operator, identity = cluster.home("operator"), cluster.home("w1") / "identity"
    joining = cluster.start_controller(("w1",))
    joining.errors_until(r"waiting for w1")
    cluster.join("w1", cluster.token("w1"))
    assert joining.stop() == 130
    worker = cluster.start_worker("w1", *machine.options)
    worker.read_until("listening")

    facts = json.loads(cluster.run("w1", "attest", "show", "--identity", identity, *machine.options, "--json"))
    machine.ek_hash = facts["ek_hash"]
    drafted = cluster.run(
        "w1", "attest", "policy", "draft", "--identity", identity, "--ek-roots", machine.roots, *machine.options
    )
    (operator / "policy.yaml").write_text(drafted)
    cluster.run("operator", "attest", "policy", "init", operator / "policy.yaml")
    cluster.run("operator", "attest", "policy", "init", operator / "policy.yaml", code=4)
    refused = cluster.start_controller(("w1",))
    assert "attest enroll" in refused.errors_until(r"hint: (.*)")[1]
    assert refused.wait() == 4
    cluster.run("operator", "attest", "enroll", "w1", "--ek-hash", facts["ek_hash"])
    cluster.start_controller(("w1",)).read_until("serving tiny")


def verify(cluster: HostedCluster, code: int = 0) -> str:
    address, identity = cluster.hosts["operator"].address, cluster.home("operator") / "identities" / "alice"
    where = ("--controller", f"controller@{address}:8004", "--identity", identity)
    return cluster.run("operator", "attest", "verify", "w1", *where, "--json", code=code)


def change_the_policy(cluster: HostedCluster, machine: Machine) -> None:
    """A policy that this machine does not meet: proposed by one, approved by another, and in force at once."""
    operator = cluster.home("operator")
    document = json.loads((operator / "policy.yaml").read_text())
    document["tpm"]["pcrs"][0]["allowed"] = ["ab" * 32]
    (operator / "stricter.yaml").write_text(json.dumps(document))
    cluster.operate("alice", "operator", "policy", operator / "stricter.yaml")
    (change,) = json.loads(cluster.operate("bob", "operator", "changes", "--json"))
    shown = json.loads(cluster.operate("bob", "operator", "show", change["change"], "--json"))
    assert json.loads(shown["content"]) == document, "bob reads what he approves"
    cluster.operate("bob", "operator", "approve", change["change"])
    assert json.loads(cluster.run("operator", "attest", "policy", "show")) == document
    cluster.operate("alice", "operator", "policy", operator / "policy.yaml")
    (change,) = json.loads(cluster.operate("bob", "operator", "changes", "--json"))
    cluster.operate("bob", "operator", "approve", change["change"])


def lose_the_machine(cluster: HostedCluster, machine: Machine) -> None:
    """Something measures into PCR 4 while it serves: whoever asks sees it. (What the next look, once a minute, does
    then: tests/e2e/test_attestation.py.)
    """
    with machine.tpm.open() as tpm:
        tpm.measure(4, b"a boot module that nobody expected")
    verdict = json.loads(verify(cluster, code=4))
    assert verdict["accepted"] is False
    assert "pcr_value" in verdict["reasons"]
    assert cluster.nodes["controller"].stop() == 0
    kinds = [entry["kind"] for entry in recorded(cluster, "operator")]
    for kind in ("node-enrolled", "attested", "policy-changed", "attestation-failed"):
        assert kind in kinds, kind
