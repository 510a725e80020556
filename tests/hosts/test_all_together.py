"""Road, trust and serving at once: workers on two hosts join by tokens that name their TPMs, get their keys by what
those TPMs say, and serve fifty sessions while an operator revokes one of them and another is killed.

Each of the two hosts has two workers, each with a software TPM of its own: one in the chain, one that stands by.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mohawk.contract.messages import WorkerState
from tests.e2e.processes import START_SECONDS, Mohawk, environment
from tests.e2e.streams import build_endless
from tests.hosts.network import missing
from tests.hosts.site import HostedCluster, hosted
from tests.hosts.test_attested import Machine
from tests.hosts.test_joining import recorded
from tests.support.swtpm import Swtpm, Vendor, running

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xdist_group("hosts"),
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]

PEOPLE = 50
TOKENS = 200
"""Of one answer; each of the people reads two."""
CHAIN, SPARES = ("east-1", "west-1"), ("east-2", "west-2")
REVOKED, KILLED = CHAIN
SEED = 4
"""Of the moments: how many tokens everybody has when something happens."""


@pytest.fixture
def tpms(vendor: Vendor) -> Iterator[dict[str, Swtpm]]:
    with ExitStack() as stack:
        made = {name: stack.enter_context(running(vendor, name)) for name in (*CHAIN, *SPARES)}
        for tpm in made.values():
            tpm.boot()
        yield made


def host_of(worker: str) -> str:
    return worker.partition("-")[0]


def port_of(worker: str) -> int:
    return 8002 + int(worker.partition("-")[2])


class Crowd:
    """`tests.hosts.readers` on the operator's host."""

    def __init__(self, cluster: HostedCluster) -> None:
        operator, host = cluster.home("operator"), cluster.hosts["operator"]
        root = operator / "identities" / "api" / "root.pem"
        where = (f"https://{host.address}:8443/v1", str(root), str(operator / "api.key"))
        self.process = subprocess.Popen(
            [*host.inside, sys.executable, "-m", "tests.hosts.readers", *where, str(PEOPLE), str(TOKENS)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(operator),
            cwd=Path(__file__).parents[2],
        )
        self.least = 0
        """So many tokens everybody has read."""
        self._read: list[list[dict[str, Any]]] = []
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def wait_for(self, tokens: int, seconds: float = 60) -> None:
        """Until everybody has read so many more."""
        deadline = time.monotonic() + seconds
        wanted = self.least + tokens
        while self.least < wanted:
            assert self.process.poll() is None, "they were done, or failed, before that"
            assert time.monotonic() < deadline, self.least
            time.sleep(0.005)

    def finish(self) -> list[list[dict[str, Any]]]:
        """Of each of the people, the turns."""
        assert self.process.wait(START_SECONDS) == 0
        self._listener.join()
        return self._read

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told = json.loads(line)
            self.least = told.get("least", self.least)
            self._read = told.get("read", [])

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.wait()
        self._listener.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


def test_fifty_sessions_while_one_worker_is_revoked_and_another_killed(
    tmp_path: Path, tpms: dict[str, Swtpm], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = build_endless(tmp_path / "tiny", 1024)
    with hosted(tmp_path / "hosts", "operator", "east", "west") as cluster:
        machines = join_all(cluster, source, tpms)
        monkeypatch.setenv("MIE_TPM_ATTESTATION_REQUIRED", "true")
        start_controller(cluster).read_until("serving tiny")
        wait_for_spares(cluster)
        with Crowd(cluster) as crowd:
            undisturbed = crowd.finish()
        with Crowd(cluster) as crowd:
            disturb(cluster, crowd)
            disturbed = crowd.finish()
        stay_away(cluster, machines[REVOKED])
        assert [[turn["ends"] for turn in person] for person in undisturbed] == [[["length", "done"]] * 2] * PEOPLE
        assert [[turn["ends"] for turn in person] for person in disturbed] == [[["length", "done"]] * 2] * PEOPLE
        assert tokens(disturbed) == tokens(undisturbed)
        assert cluster.nodes["controller"].stop() == 0
        check_the_record(cluster)
        with capsys.disabled():
            print(f"\n{PEOPLE} sessions, one worker revoked and one killed: {quiet(disturbed):.2f} s of quiet", end="")
            print(f" ({quiet(undisturbed):.2f} s in an undisturbed run)")


def start_controller(cluster: HostedCluster) -> Mohawk:
    def at(worker: str) -> str:
        return f"{worker}={cluster.hosts[host_of(worker)].address}:{port_of(worker)}"

    places = [part for name in CHAIN for part in ("--worker", at(name))]
    places += [part for name in SPARES for part in ("--spare", at(name))]
    return cluster.start_controller((), *places, "--kv-tokens", PEOPLE * (2 * TOKENS + 16))


def join_all(cluster: HostedCluster, source: Path, tpms: dict[str, Swtpm]) -> dict[str, Machine]:
    """Tokens that name each worker's TPM; then a policy that those machines meet, before the first key is given."""
    cluster.prepare(source, CHAIN)
    waiting = start_controller(cluster)
    waiting.errors_until(r"waiting for east-1")
    machines = {name: Machine(cluster.home(host_of(name)) / name, tpm) for name, tpm in tpms.items()}
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: join(cluster, name, machines[name]), machines))
    assert waiting.stop() == 130
    for name, machine in machines.items():
        cluster.start_worker(host_of(name), "--port", port_of(name), *machine.options, name=name)
    for name in machines:
        cluster.nodes[name].read_until("listening")
    lay_down_a_policy(cluster, machines["east-1"])
    return machines


def join(cluster: HostedCluster, name: str, machine: Machine) -> None:
    identity = cluster.home(host_of(name)) / name / "identity"
    identity.mkdir(mode=0o700)
    shown = cluster.run(host_of(name), "attest", "show", "--identity", identity, *machine.options, "--json")
    cluster.join(host_of(name), cluster.token(name, "--ek-hash", json.loads(shown)["ek_hash"]), name)


def lay_down_a_policy(cluster: HostedCluster, machine: Machine) -> None:
    identity = ("--identity", cluster.home("east") / "east-1" / "identity")
    asked = ("attest", "policy", "draft", *identity, "--ek-roots", machine.roots, *machine.options)
    policy = cluster.home("operator") / "policy.yaml"
    policy.write_text(cluster.run("east", *asked))
    cluster.run("operator", "attest", "policy", "init", policy)


def workers(cluster: HostedCluster) -> list[dict[str, Any]]:
    """As an operator sees them."""
    identity = cluster.home("operator") / "identities" / "alice"
    where = ("--controller", f"controller@{cluster.hosts['operator'].address}:8004", "--identity", identity)
    return list(json.loads(cluster.run("operator", "status", "--json", *where))["workers"])


def wait_for_spares(cluster: HostedCluster, seconds: float = 60) -> None:
    """Until each stage is held ready by one that stands by; all of them have shown what their machines are."""
    deadline = time.monotonic() + seconds
    seen = workers(cluster)
    while [one["state"] for one in seen] != [WorkerState.READY] * len((*CHAIN, *SPARES)):
        assert time.monotonic() < deadline, seen
        time.sleep(0.2)
        seen = workers(cluster)
    assert len({one["run_id"] for one in seen}) == 2
    assert {one["evidence"] for one in seen} == {"tpm"}


def disturb(cluster: HostedCluster, crowd: Crowd) -> None:
    """At two moments at which everybody reads."""
    moments = random.Random(SEED)
    crowd.wait_for(moments.randrange(10, 40))
    cluster.operate("alice", "operator", "revoke", f"spiffe://mesh.example/worker/{REVOKED}", "--reason", "stolen")
    assert cluster.nodes[REVOKED].wait() == 4, "a revoked worker ends itself"
    cluster.nodes["controller"].errors_until(rf"takes over \S+ from {REVOKED}")
    crowd.wait_for(moments.randrange(10, 40))
    os.kill(cluster.nodes[KILLED].pid, signal.SIGKILL)
    cluster.nodes["controller"].errors_until(rf"takes over \S+ from {KILLED}")
    crowd.wait_for(1)
    assert crowd.least < 2 * TOKENS, "everybody read on through both"


def stay_away(cluster: HostedCluster, machine: Machine) -> None:
    """The revoked worker, started again on its machine: nobody takes it."""
    again = cluster.start_worker(host_of(REVOKED), "--port", port_of(REVOKED), *machine.options, name=REVOKED)
    assert again.wait() == 4
    assert {one["name"] for one in workers(cluster)} == set(SPARES)


def tokens(read: list[list[dict[str, Any]]]) -> list[list[list[int]]]:
    return [[turn["tokens"] for turn in person] for person in read]


def quiet(read: list[list[dict[str, Any]]]) -> float:
    return max(float(turn["longest_gap"]) for person in read for turn in person)


def check_the_record(cluster: HostedCluster) -> None:
    """Who joined, what they showed, who got a key, who was revoked, who took whose place; nothing for the revoked one
    after that. And nobody changed it.
    """
    cluster.run("operator", "audit", "verify")
    for name in (REVOKED, *SPARES):
        cluster.run(host_of(name), "audit", "verify", cluster.home(host_of(name)) / name / "slices" / "audit.jsonl")
    entries = [
        (str(entry["kind"]), str(entry["subject"]).rpartition("/")[2], dict(entry["details"]))  # type: ignore[call-overload]
        for entry in recorded(cluster, "operator")
    ]
    for name in (*CHAIN, *SPARES):
        of_one = [kind for kind, subject, _ in entries if subject == name]
        assert of_one[:4] == ["join-accepted", "node-enrolled", "attested", "key-released"]
    assert {details["class"] for kind, _, details in entries if kind == "key-released"} == {"tpm"}
    moved = [(details["from"], subject) for kind, subject, details in entries if kind == "stage-moved"]
    assert [lost for lost, _ in moved] == [REVOKED, KILLED]
    assert {spare for _, spare in moved} == set(SPARES)
    revocation = next(index for index, entry in enumerate(entries) if entry[0] == "node-revoked")
    assert entries[revocation][1] == REVOKED
    assert {kind for kind, subject, _ in entries[revocation + 1 :] if subject == REVOKED} == {"connection-cut"}
