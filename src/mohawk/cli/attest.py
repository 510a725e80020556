"""`mohawk attest`: which TPM is whose, what a machine must show before it gets a key, and what it shows now."""

from __future__ import annotations

import asyncio
import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mohawk.cli.authority import FolderOption, closed_authority
from mohawk.cli.command_log import command_log
from mohawk.cli.operator import DEFAULT_CONTROLLER, ControllerOption, IdentityOption, JsonOption, open_client
from mohawk.cli.output import print_json, print_table, write_text
from mohawk.errors import PolicyError

if TYPE_CHECKING:
    from mohawk.attestation.evidence import TpmEvidence
    from mohawk.contract.operating import NodeVerdict
    from mohawk.host.attester import Attester
    from mohawk.host.enrolments import Enrolments
    from mohawk.identity.names import NodeName

app = typer.Typer(help="Attest machines before they get keys.", no_args_is_help=True)
policy_app = typer.Typer(help="What a machine must show before it gets a key.", no_args_is_help=True)
app.add_typer(policy_app, name="policy")

TpmOption = Annotated[Path, typer.Option(help="This machine's TPM.")]
NodeFolderOption = Annotated[Path, typer.Option("--identity", help="Identity folder of this machine's worker.")]
LogOption = Annotated[Path | None, typer.Option(help="The firmware's event log, if not the kernel's.")]
NameArgument = Annotated[str, typer.Argument(help="The worker's node name.")]
DEVICE = Path("/dev/tpmrm0")


@app.command()
def show(
    identity: NodeFolderOption,
    tpm: TpmOption = DEVICE,
    firmware_log: LogOption = None,
    json: JsonOption = False,
) -> None:
    """On a worker's machine: its TPM's hash, its registers and our code's digest, to hold beside what an operator
    knows of it.
    """
    from mohawk.host.code_digest import code_digest

    attester = _open_attester(tpm, identity, firmware_log)
    keys, evidence = attester.identity(), _quote(attester)
    values = {str(index): value.hex() for index, value in evidence.values}
    if json:
        facts = {"ek_hash": keys.ek_hash, "code": code_digest().hex(), "event_log": not evidence.log_absent}
        print_json(facts | {"pcrs": values})
        return
    rows = [("EK hash", keys.ek_hash), ("code digest", code_digest().hex())]
    rows += [(f"PCR {index}", value) for index, value in values.items()]
    rows += [("event log", evidence.log_absent or "there")]
    print_table("", ("", ""), rows)
    typer.echo("next, on the controller's machine: mohawk attest enroll NAME --ek-hash HASH")


@app.command()
def enroll(
    name: NameArgument,
    ek_hash: Annotated[str, typer.Option(help="As `mohawk attest show` prints it on that worker's machine.")],
    pki: FolderOption = None,
    json: JsonOption = False,
) -> None:
    """Name the one TPM that this worker may enrol with. The TPM proves itself when the controller next connects."""
    enrolments, node = _open(pki, name)
    with command_log() as record:
        enrolments.expect(node, ek_hash, record)
    if json:
        print_json({"name": str(node), "ek_hash": ek_hash})
    else:
        typer.echo(f"{node} may enrol with that TPM, and with no other")


@app.command()
def remove(name: NameArgument, pki: FolderOption = None, json: JsonOption = False) -> None:
    """Forget which TPM is this worker's, after its machine was replaced. It gets no key until it enrols again, with the
    TPM that `mohawk attest enroll`, or its join token, names.
    """
    enrolments, node = _open(pki, name)
    with command_log() as record:
        enrolments.remove(node, record)
    if json:
        print_json({"removed": str(node)})
    else:
        typer.echo(f"{node} is no longer enrolled")


@app.command("list")
def list_enrolled(pki: FolderOption = None, json: JsonOption = False) -> None:
    """Show which TPM is whose."""

    from mohawk.host.enrolments import open_enrolments

    records = open_enrolments(closed_authority(pki)).all()
    rows = [
        (str(one.name), one.ek_hash, f"{one.enrolled:%Y-%m-%d %H:%M}", one.counters.resets, one.counters.restarts)
        for one in records
    ]
    columns = ("node", "EK hash", "enrolled (UTC)", "resets", "restarts")
    if json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table("", columns, rows)


@app.command()
def verify(
    name: NameArgument,
    controller: ControllerOption = DEFAULT_CONTROLLER,
    identity: IdentityOption = None,
    json: JsonOption = False,
) -> None:
    """Have a serving worker show its machine now, and say everything that was found."""
    from dataclasses import asdict

    from mohawk.contract.operating import AttestNode, NodeVerdict

    verdict = asyncio.run(open_client(controller, identity).ask(AttestNode(name), NodeVerdict))
    if json:
        print_json(asdict(verdict))
    else:
        _print_verdict(verdict)
    if not verdict.accepted:
        raise typer.Exit(PolicyError.exit_code)


@policy_app.command("show")
def show_policy(pki: FolderOption = None) -> None:
    """Print the policy in force."""
    from mohawk.host.release_policy import ReleasePolicy

    policy = ReleasePolicy(closed_authority(pki))
    if not policy.exists:
        typer.echo("no policy: every worker with a certificate gets its key, and is shown as `software`", err=True)
        return
    write_text(policy.read_text().decode("utf-8", "replace"))


@policy_app.command()
def init(
    file: Annotated[Path, typer.Argument(help="A policy (docs/spec/attestation.md 9).")],
    pki: FolderOption = None,
    json: JsonOption = False,
) -> None:
    """Lay the first policy down. Changing it later takes two operators: mohawk operator policy FILE."""
    from mohawk.host.files import read_file
    from mohawk.host.release_policy import MAXIMUM_POLICY, ReleasePolicy

    authority = closed_authority(pki)
    with command_log() as record:
        policy = ReleasePolicy(authority).initialise(read_file(file, MAXIMUM_POLICY), record)
    if json:
        print_json({"class": policy.required.word, "policy": policy.digest().hex()})
    else:
        typer.echo(f"keys are released to machines of class {policy.required.word} or better from now on")


@policy_app.command()
def draft(
    identity: NodeFolderOption,
    ek_roots: Annotated[Path, typer.Option(help="PEM of the TPM vendors' certificates that are to be believed.")],
    tpm: TpmOption = DEVICE,
    firmware_log: LogOption = None,
) -> None:
    """On a machine that you hold for good, with its worker running: print a policy that it meets as it is now. Read it
    before you use it.
    """
    from mohawk.attestation.policy import draft_policy
    from mohawk.host.files import read_file
    from mohawk.host.release_policy import MAXIMUM_POLICY

    attester = _open_attester(tpm, identity, firmware_log)
    attester.identity()
    evidence = _quote(attester)
    roots = read_file(ek_roots, MAXIMUM_POLICY).decode("ascii", "replace")
    policy = draft_policy(evidence, roots, is_log_required=not evidence.log_absent)
    write_text(json_module.dumps(policy.document(), indent=2, default=str) + "\n")


def _open_attester(device: Path, folder: Path, log: Path | None) -> Attester:
    from mohawk.host.attester import FIRMWARE_LOG, Attester
    from mohawk.host.memory import harden_process

    harden_process()
    return Attester(device, folder, log or FIRMWARE_LOG)


def _quote(attester: Attester) -> TpmEvidence:
    """What this machine would show, for nobody's challenge."""
    from mohawk.attestation.policy import BOOT_PCRS
    from mohawk.crypto.primitives import random_bytes
    from mohawk.crypto.tpm_primitives import TpmHash

    return attester.quote(random_bytes(32), TpmHash.SHA256, BOOT_PCRS)


def _open(pki: Path | None, name: str) -> tuple[Enrolments, NodeName]:
    """The authority's enrolments, and a worker's name in its domain. Raises UsageError."""
    from mohawk.host.enrolments import open_enrolments
    from mohawk.identity.names import NodeName, Role

    authority = closed_authority(pki)
    return open_enrolments(authority), NodeName(authority.domain, Role.WORKER, name)


def _print_verdict(verdict: NodeVerdict) -> None:
    rows = [
        ("node", verdict.name),
        ("evidence", verdict.evidence),
        ("verdict", "accepted" if verdict.accepted else "refused"),
        ("policy", verdict.policy),
        ("TPM (EK hash)", verdict.tpm or "none"),
        ("took", f"{verdict.milliseconds} ms"),
        *((reason, finding) for reason, finding in zip(verdict.reasons, verdict.findings, strict=True)),
    ]
    print_table("", ("", ""), rows)
