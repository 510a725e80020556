"""Three hosts and a stranger's: workers join by token; who has none, a used one, somebody else's certificate, or a
revoked one, is refused, and every refusal is on record.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.e2e.processes import command
from tests.hosts.network import missing
from tests.hosts.site import HostedCluster, hosted
from tests.support.models import build_model

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xdist_group("hosts"),
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]

ASKED = {"model": "tiny", "prompt": [5, 6, 7], "max_tokens": 4, "temperature": 0, "return_token_ids": True}


def intrude(cluster: HostedCluster, *arguments: object) -> object:
    program = (
        "import runpy, sys; sys.argv[0] = 'intruder'; runpy.run_module('tests.hosts.intruder', run_name='__main__')"
    )
    return json.loads(cluster.program("stranger", program, *arguments))


def recorded(cluster: HostedCluster, host: str) -> list[dict[str, object]]:
    """What a node wrote down: the controller's or a worker's log, verified."""
    home = cluster.home(host)
    log = home / "audit" / "controller.jsonl" if host == "operator" else home / "slices" / "audit.jsonl"
    answer = command(home, "audit", "tail", str(log), "-n", "1000", "--json")
    assert answer.returncode == 0, answer.stderr
    return [json.loads(line) for line in answer.stdout.splitlines()]


def reasons(entries: list[dict[str, object]], kind: str) -> set[str]:
    return {dict(entry["details"])["reason"] for entry in entries if entry["kind"] == kind}  # type: ignore[call-overload]


def test_three_hosts_and_a_stranger(tmp_path: Path) -> None:
    source = build_model(tmp_path / "tiny", "llama")
    with hosted(tmp_path / "hosts", "operator", "w1", "w2", "stranger") as cluster:
        bring_up(cluster, source)
        status, answer = cluster.ask("operator", ASKED)
        assert status == 200, answer
        assert len(answer["choices"][0]["token_ids"]) == 4

        assert {address.rpartition(":")[2] for address in cluster.hosts["w1"].listening()} == {"8003"}
        reach_no_port(cluster)
        join_without_a_good_token(cluster)
        steal_a_certificate(cluster)
        be_revoked(cluster)

        status, answer = cluster.ask("operator", ASKED)
        assert status == 200, "none of it disturbed anybody"
        for node in ("controller", "w1", "w2"):
            assert cluster.nodes[node].stop() == 0
        check_the_record(cluster)


def bring_up(cluster: HostedCluster, source: Path) -> None:
    """An operator's host joins two workers by token."""
    cluster.prepare(source, ("w1", "w2"))
    controller = cluster.start_controller(("w1", "w2"))
    controller.errors_until(r"waiting for w1")
    for name in ("w1", "w2"):
        cluster.join(name, cluster.token(name))
        cluster.start_worker(name)
    controller.read_until("serving tiny")


def reach_no_port(cluster: HostedCluster) -> None:
    """Without a certificate no node's port gives one byte; the API answers, to say that it wants a key; the join port
    shakes hands, and then hangs up on what is no proof.
    """
    operator = cluster.hosts["operator"].address
    for host, port in (("w1", 8003), ("w2", 8003), ("operator", 8004)):
        heard = intrude(cluster, "strangle", cluster.hosts[host].address, port, "mie/1")
        assert heard == {"ended": "Error", "heard": ""}, (host, port)
    assert "401" in str(intrude(cluster, "strangle", operator, 8443, "http/1.1"))
    refusal = dict(intrude(cluster, "strangle", operator, 8002, "mie-join/1"))["heard"]  # type: ignore[call-overload]
    assert refusal == "\0\0\0\0", "an answer of no bytes, whatever was wrong"


def join_without_a_good_token(cluster: HostedCluster) -> None:
    """None, one that was used, one that was changed."""
    stranger = cluster.home("stranger")
    identity = ("--identity", stranger / "identity")
    cluster.run("stranger", "worker", "join", "no token at all", *identity, code=2)
    token = cluster.token("w3")
    cluster.join("stranger", token)
    refused = cluster.run("stranger", "worker", "join", token, "--identity", stranger / "again", code=4)
    assert "did not let this machine join" in refused
    assert not (stranger / "again").exists()


def steal_a_certificate(cluster: HostedCluster) -> None:
    """A copy of w2's whole identity: it makes its thief w2, and nobody else."""
    stolen = cluster.home("stranger") / "stolen"
    shutil.copytree(cluster.home("w2") / "identity", stolen)
    first, operator = cluster.hosts["w1"].address, cluster.hosts["operator"].address
    for host, port, role, name, purpose in (
        (first, 8003, "worker", "w1", "CONTROL"),
        (first, 8003, "worker", "w1", "STEP"),
        (operator, 8004, "controller", "controller", "OPERATOR"),
    ):
        said = intrude(cluster, "dial", stolen, host, port, role, name, purpose)
        assert "may not connect" in str(said) or "predecessor" in str(said), said


def be_revoked(cluster: HostedCluster) -> None:
    """The stranger joined as w3 by a token of its own; one operator takes that back."""
    address = cluster.hosts["w1"].address
    dialled = ("dial", cluster.home("stranger") / "identity", address, 8003, "worker", "w1", "STEP")
    assert "predecessor" in str(intrude(cluster, *dialled)), "known, and none of its business"
    cluster.operate("alice", "operator", "revoke", "spiffe://mesh.example/worker/w3", "--reason", "not ours")
    said = ""
    while "predecessor" in said or not said:  # the list is on its way
        said = str(intrude(cluster, *dialled))
    assert "ended the connection" in said or "revoked" in said, said
    cluster.operate("alice", "operator", "lift", "spiffe://mesh.example/worker/w3")
    (change,) = json.loads(cluster.operate("alice", "operator", "changes", "--json"))
    cluster.operate("alice", "operator", "approve", change["change"], code=3)
    cluster.operate("bob", "operator", "approve", change["change"])


def check_the_record(cluster: HostedCluster) -> None:
    controller, worker = recorded(cluster, "operator"), recorded(cluster, "w1")
    kinds = [entry["kind"] for entry in controller]
    for kind in ("join-accepted", "key-released", "node-revoked", "change-proposed", "change-approved"):
        assert kind in kinds, kind
    assert "revocation-lifted" in kinds
    assert "change-refused" in kinds, "alice did not approve her own proposal"
    assert "used" in " ".join(reasons(controller, "join-refused"))
    assert reasons(controller, "access-refused") | reasons(controller, "connection-refused")
    assert "revoked" in reasons(worker, "connection-refused")
    assert {"access_refused", "refused_by_policy"} & reasons(worker, "access-refused")
