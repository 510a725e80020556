"""docs/howto/attestation.md and docs/howto/operators.md, command by command, on hosts of our own with a software TPM."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.processes import Mohawk, environment
from tests.hosts.network import missing
from tests.hosts.site import HostedCluster, hosted
from tests.support.boot_log import boot, encode
from tests.support.models import build_model
from tests.support.swtpm import Swtpm

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xdist_group("hosts"),
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]

PEOPLE_SECONDS = 20.0
"""Two operators who follow the howto do not ask about one worker within ten seconds; a test does."""
HOWTO = Path(__file__).parents[2] / "docs" / "howto"
MACHINES = {"on the controller's machine": "controller", "on worker-1": "worker-1", "on worker-2": "worker-2"}


class Typist:
    """Types what a howto says where it says so. `words`: what stands for something of this cluster, and what it is."""

    def __init__(self, cluster: HostedCluster, tpms: dict[str, Swtpm]) -> None:
        self.cluster = cluster
        hosts = cluster.hosts
        self.words = {"10.0.0.10": hosts["controller"].address, "10.0.0.11": hosts["worker-1"].address, "MODEL": "tiny"}
        self.tpms = {}
        for name, tpm in tpms.items():
            log = cluster.home(name) / "firmware.log"
            log.parent.mkdir(parents=True)
            log.write_bytes(encode(boot()))
            self.tpms[name] = f"{tpm.path} --firmware-log {log}"
        cluster.home("controller").mkdir()

    def type(self, machine: str, line: str) -> str:
        """Its output. What runs until it is stopped is started, and waits for nothing."""
        for word, value in (self.words | {"/dev/tpmrm0": self.tpms.get(machine, "/dev/null")}).items():
            line = line.replace(word, value)
        home = self.cluster.home(machine)
        if re.match(r"mohawk (worker|controller) run", line):
            more = " --threads 1" if "worker run" in line else " --dtype float32"
            self._start(machine, line + more)
            return ""
        python = f'mohawk() {{ "{sys.executable}" -m mohawk "$@"; }}'
        command = [*self.cluster.hosts[machine].inside, "bash", "-c", f"set -eu\n{python}\n{line}"]
        deadline = time.monotonic() + PEOPLE_SECONDS
        while True:
            done = subprocess.run(command, cwd=home, env=environment(home), capture_output=True, text=True, check=False)
            if "ask again in ten seconds" not in done.stderr or time.monotonic() > deadline:
                break
            time.sleep(1)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        return done.stdout

    def _start(self, machine: str, line: str) -> None:
        home = self.cluster.home(machine)
        there = (*self.cluster.hosts[machine].inside, "env", "-C", str(home))
        self.cluster.nodes[machine] = Mohawk(home, *line.split()[1:], inside=there)

    def stop(self, machine: str) -> int:
        return self.cluster.nodes.pop(machine).stop()


def lines(name: str) -> list[tuple[str, str]]:
    """(machine, command) in order; a comment says on which machine the next commands are typed."""
    found, machine = [], "controller"
    for block in re.findall(r"```sh\n(.*?)```", (HOWTO / name).read_text(), re.DOTALL):
        for line in block.splitlines():
            if line.startswith("# "):
                machine = MACHINES[line[2:]]
            else:
                found.append((machine, line))
    return found


def test_attestation_then_operators_as_written(
    tmp_path: Path, first_tpm: Swtpm, second_tpm: Swtpm, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_tpm.boot()
    second_tpm.boot()
    with hosted(tmp_path / "hosts", "controller", "worker-1", "worker-2") as cluster:
        typist = Typist(cluster, {"worker-1": first_tpm, "worker-2": second_tpm})
        build_model(cluster.home("controller") / "tiny", "llama")
        (cluster.home("worker-1") / "vendor.pem").write_text(first_tpm.vendor.roots)
        serve_attested(typist, monkeypatch)
        operate(typist)


def serve_attested(typist: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    said: dict[str, str] = {}
    controller = ""
    for machine, line in lines("attestation.md"):
        if line.startswith("mohawk controller run"):
            controller = line
        if line.startswith("mohawk worker run"):
            assert typist.stop("controller") == 130, "it was still waiting: no key was given"
        if line.startswith("export"):
            monkeypatch.setenv(*line.removeprefix("export ").split("="))
            typist.type("controller", controller)
            typist.cluster.nodes["controller"].read_until("serving")
            continue
        said[line] = typist.type(machine, line)
        after(typist, machine, line, said[line])
    (verdict,) = (text for line, text in said.items() if line.startswith("mohawk attest verify"))
    assert re.search(r"evidence +tpm", verdict)
    assert "accepted" in verdict
    kinds = re.findall(r"node-enrolled|attested|key-released", said["mohawk audit tail -n 10"])
    assert kinds[:3] == ["node-enrolled", "attested", "key-released"]


def after(typist: Typist, machine: str, line: str, said: str) -> None:
    """What a person carries from one command to another."""
    nodes, home = typist.cluster.nodes, typist.cluster.home
    if line.startswith("mohawk controller run"):
        nodes[machine].errors_until("waiting for worker-1")
    elif line.startswith("mohawk worker run"):
        nodes[machine].read_until("listening")
    elif line.startswith("mohawk pki token"):
        typist.words["TOKEN"] = said.strip()
    elif line.startswith("mohawk attest show"):
        typist.words["HASH"] = re.search(r"EK hash +([0-9a-f]{64})", said)[1]  # type: ignore[index]
    elif line.startswith("mohawk attest policy draft"):
        (home("controller") / "policy.yaml").write_bytes((home(machine) / "policy.yaml").read_bytes())


def operate(typist: Typist) -> None:
    policy = (typist.cluster.home("controller") / "policy.yaml").read_text()
    (typist.cluster.home("controller") / "policy.yaml").write_text(policy.replace("required", "optional"))
    for machine, line in lines("operators.md"):
        if line.startswith("mohawk pki issue operator"):
            continue  # there since attestation.md, and an identity is not overwritten
        said = typist.type(machine, line)
        if change := re.search(r"proposed as ([0-9a-f]{64})", said):
            typist.words["CHANGE"] = change[1]
        if line.startswith("mohawk operator revoke"):
            assert typist.cluster.nodes["worker-1"].wait() == 4
    shown = typist.type("controller", "mohawk attest policy show")
    assert "optional" in shown
    assert "denied: none" in typist.type("controller", "mohawk pki list")
