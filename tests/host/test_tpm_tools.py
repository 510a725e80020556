"""Protects interoperability: others' tools believe our quotes and read our logs, and we believe theirs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mohawk.attestation.enrolment import TpmIdentity, offer_enrolment
from mohawk.attestation.event_log import MAXIMUM_LOG, parse_event_log
from mohawk.attestation.policy import Policy
from mohawk.attestation.reasons import Reason
from mohawk.crypto.tpm_primitives import TpmHash
from tests.support.boot_log import boot, encode
from tests.support.machines import Machine, replayed
from tests.support.tls import utc_now

RELAY = Path(__file__).parents[1] / "support" / "tpm_relay.py"

pytestmark = pytest.mark.skipif(
    not shutil.which("tpm2_checkquote"), reason="other tools are needed to compare with: apt-get install tpm2-tools"
)


def tool(machine: Machine, *command: str | Path) -> str:
    """A command of tpm2-tools, talking to the machine's TPM."""
    environment = os.environ | {"TPM2TOOLS_TCTI": f"cmd:{sys.executable} {RELAY} {machine.tpm.path}"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_tpm2_checkquote_believes_our_quote(machine: Machine, policy: Policy, tmp_path: Path) -> None:
    challenge = machine.challenge()
    evidence = machine.answer(challenge, policy)
    files = {"key": machine.record.identity.ak_public, "quote": evidence.quote, "signature": evidence.signature}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    command = ["tpm2_checkquote", "-u", tmp_path / "key", "-m", tmp_path / "quote", "-s", tmp_path / "signature"]
    tool(machine, *command, "-g", "sha256", "-q", challenge.qualifying_data().hex())
    with pytest.raises(AssertionError):
        tool(machine, *command, "-g", "sha256", "-q", bytes(32).hex())


def test_we_believe_tpm2_quote(machine: Machine, policy: Policy, tmp_path: Path) -> None:
    """A key made by tpm2_createak under the same endorsement key, and a quote made with it."""
    challenge = machine.challenge()
    good = machine.answer(challenge, policy)
    context, public = tmp_path / "ak.ctx", tmp_path / "ak.pub"
    tool(
        machine, "tpm2_createak", "-C", "0x81010001", "-c", context, "-G", "ecc", "-g", "sha256", "-s", "ecdsa", "-u",
        public, "-f", "tss",
    )  # fmt: skip
    tool(
        machine, "tpm2_quote", "-c", context, "-l", "sha256:0,2,4,7,14", "-q", challenge.qualifying_data().hex(),
        "-m", tmp_path / "quote", "-s", tmp_path / "signature", "-g", "sha256",
    )  # fmt: skip
    identity = machine.record.identity
    record = replace(
        machine.record,
        identity=TpmIdentity(identity.ek_certificate, identity.ek_public, public.read_bytes()),
    )
    theirs = replace(good, quote=(tmp_path / "quote").read_bytes(), signature=(tmp_path / "signature").read_bytes())
    assert machine.appraise(policy, theirs, challenge).reasons == (Reason.SIGNER, Reason.SIGNATURE)
    machine.record = record
    assert machine.appraise(policy, theirs, challenge).reasons == ()


def test_tpm2_activatecredential_opens_our_credential(machine: Machine, policy: Policy, tmp_path: Path) -> None:
    """The file that it reads: magic, version, then both parts."""
    assert policy.tpm is not None
    context, public = tmp_path / "ak.ctx", tmp_path / "ak.pub"
    tool(
        machine, "tpm2_createak", "-C", "0x81010001", "-c", context, "-G", "rsa", "-g", "sha256", "-s", "rsapss", "-u",
        public, "-f", "tss",
    )  # fmt: skip
    identity = machine.record.identity
    identity = TpmIdentity(identity.ek_certificate, identity.ek_public, public.read_bytes())
    secret = bytes(range(32))
    offer = offer_enrolment(machine.name, identity, policy.tpm.roots, secret, utc_now())
    credential = bytes.fromhex("badcc0de00000001") + offer.credential.id_object + offer.credential.encrypted_seed
    (tmp_path / "credential").write_bytes(credential)
    session = tmp_path / "session"
    tool(machine, "tpm2_startauthsession", "--policy-session", "-S", session)
    tool(machine, "tpm2_policysecret", "-S", session, "-c", "e")
    tool(
        machine, "tpm2_activatecredential", "-c", context, "-C", "0x81010001", "-i", tmp_path / "credential", "-o",
        tmp_path / "secret", "-P", f"session:{session}",
    )  # fmt: skip
    assert (tmp_path / "secret").read_bytes() == secret


def test_tpm2_eventlog_replays_as_we_do(machine: Machine, tmp_path: Path) -> None:
    """The log that our tests are made of is one; and both replay it to the same registers."""
    log = encode(boot())
    (tmp_path / "log").write_bytes(log)
    told = tool(machine, "tpm2_eventlog", tmp_path / "log")
    ours = parse_event_log(log, MAXIMUM_LOG).replay(TpmHash.SHA256)
    _, _, registers = told.rpartition("sha256:")
    found = {int(index): bytes.fromhex(value) for index, value in re.findall(r"(\d+) *: 0x([0-9a-f]{64})\b", registers)}
    assert found == ours == replayed()
