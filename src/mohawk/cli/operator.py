"""`mohawk operator`: what operators do to a running controller; some of it takes two of them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mohawk.cli.output import print_json, print_table, write_text
from mohawk.cli.passwords import PasswordSource
from mohawk.cli.places import Places
from mohawk.errors import UsageError

if TYPE_CHECKING:
    from mohawk.client.operator import OperatorClient
    from mohawk.contract.messages import Message

app = typer.Typer(
    help="Revoke at once, move stages under running streams; with a second operator, lift revocations and change "
    "key-release policy.",
    no_args_is_help=True,
)

ANSWER_SECONDS = 10.0
MOVE_SECONDS = 900.0
"""Stages may have to be loaded first."""
DEFAULT_CONTROLLER = "controller@127.0.0.1:8004"
ControllerOption = Annotated[str, typer.Option(help="NAME@HOST:PORT of the controller's operator port.")]
IdentityOption = Annotated[Path | None, typer.Option(help="Operator identity folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
ChangeArgument = Annotated[str, typer.Argument(help="Id of a change, as `mohawk operator changes` shows it.")]


@app.command()
def revoke(
    subject: Annotated[str, typer.Argument(help="SPIFFE id, or serial:<hex> of one certificate.")],
    reason: Annotated[str, typer.Option(help="For the record.")] = "",
    controller: ControllerOption = DEFAULT_CONTROLLER,
    identity: IdentityOption = None,
    json: JsonOption = False,
) -> None:
    """Deny a node from now on: its connections end within seconds. One operator is enough."""
    from mohawk.contract.operating import Revoke

    _do(open_client(controller, identity), Revoke(subject, reason), as_json=json)


@app.command()
def drain(
    name: Annotated[str, typer.Argument(help="Node name of a worker, as `mohawk status` shows it.")],
    back: Annotated[bool, typer.Option("--back", help="It may stand by again.")] = False,
    controller: ControllerOption = DEFAULT_CONTROLLER,
    identity: IdentityOption = None,
    json: JsonOption = False,
) -> None:
    """Let a worker go, before its machine is stopped: a spare takes its stage between two steps. No request fails."""
    from mohawk.contract.operating import DrainWorker

    _do(open_client(controller, identity), DrainWorker(name, back), as_json=json, seconds=MOVE_SECONDS)


@app.command()
def replan(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only measure, and show what would move.")] = False,
    controller: ControllerOption = DEFAULT_CONTROLLER,
    identity: IdentityOption = None,
    json: JsonOption = False,
) -> None:
    """Measure the workers that are there, spares too, and lay the layers out anew where that is worth it. New stages
    are loaded while the old plan serves; no request fails.
    """
    from mohawk.cli.replanning import describe_plans, print_plans
    from mohawk.contract.operating import Replan, Replanned

    found = asyncio.run(open_client(controller, identity).ask(Replan(dry_run), Replanned, MOVE_SECONDS))
    if json:
        print_json(describe_plans(found))
    else:
        print_plans(found)


@app.command()
def lift(
    subject: Annotated[str, typer.Argument(help="What was revoked.")],
    controller: ControllerOption = DEFAULT_CONTROLLER,
    identity: IdentityOption = None,
    json: JsonOption = False,
) -> None:
    """Propose to lift a revocation; another operator approves."""
    from mohawk.contract.operating import ProposeChange
    from mohawk.identity.changes import ChangeKind

    order = ProposeChange(ChangeKind.LIFT_REVOCATION, subject)
    _do(open_client(controller, identity), order, as_json=json)


@app.command()
def policy(
    file: Annotated[Path, typer.Argument(help="The new attestation policy (docs/spec/attestation.md 9).")],
    controller: ControllerOption = DEFAULT_CONTROLLER,
    identity: IdentityOption = None,
    json: JsonOption = False,
) -> None:
    """Propose another key-release policy; another operator approves."""
    from mohawk.contract.operating import ProposeChange
    from mohawk.host.files import read_file
    from mohawk.host.release_policy import MAXIMUM_POLICY, NAME
    from mohawk.identity.changes import ChangeKind

    order = ProposeChange(ChangeKind.KEY_RELEASE_POLICY, NAME, read_file(file, MAXIMUM_POLICY))
    _do(open_client(controller, identity), order, as_json=json)


@app.command("changes")
def list_changes(
    controller: ControllerOption = DEFAULT_CONTROLLER,
    identity: IdentityOption = None,
    json: JsonOption = False,
) -> None:
    """Show what waits for a second operator."""
    from mohawk.contract.operating import ChangesListed, ListChanges

    client = open_client(controller, identity)
    reply = asyncio.run(client.ask(ListChanges(), ChangesListed))
    rows = [
        (one.change, one.kind, one.subject, one.proposer, f"{datetime.fromtimestamp(one.expires, UTC):%Y-%m-%d %H:%M}")
        for one in reply.changes
    ]
    columns = ("change", "kind", "subject", "proposed by", "open until (UTC)")
    if json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table("", columns, rows)


@app.command()
def show(
    change: ChangeArgument,
    controller: ControllerOption = DEFAULT_CONTROLLER,
    identity: IdentityOption = None,
    json: JsonOption = False,
) -> None:
    """Show all of a change. Look before you approve: the id covers every byte of it."""
    found = asyncio.run(open_client(controller, identity).show_change(change))
    content = found.content.decode("utf-8", "replace")
    facts = {"change": found.id, "kind": found.kind.value, "subject": found.subject, "proposer": found.proposer}
    if json:
        print_json(facts | {"content": content, "proposed": found.proposed.isoformat()})
        return
    print_table("", ("", ""), facts.items())
    write_text(content and f"\n{content}\n")


@app.command()
def approve(
    change: ChangeArgument,
    controller: ControllerOption = DEFAULT_CONTROLLER,
    identity: IdentityOption = None,
    json: JsonOption = False,
) -> None:
    """Carry out a change that another operator proposed."""
    from mohawk.contract.operating import ApproveChange

    _do(open_client(controller, identity), ApproveChange(change), as_json=json)


@app.command()
def withdraw(
    change: ChangeArgument,
    controller: ControllerOption = DEFAULT_CONTROLLER,
    identity: IdentityOption = None,
    json: JsonOption = False,
) -> None:
    """Drop a proposed change; any operator may."""
    from mohawk.contract.operating import WithdrawChange

    _do(open_client(controller, identity), WithdrawChange(change), as_json=json)


def open_client(controller: str, identity: Path | None) -> OperatorClient:
    """`controller@10.0.0.5:8004` -> a client of it. Raises UsageError, HostError, PolicyError, IdentityError."""
    from mohawk.client.operator import OperatorClient
    from mohawk.host.identity import IdentityFolder

    name, _, address = controller.rpartition("@")
    host, _, port = address.rpartition(":")
    if not (name and host and port.isascii() and port.isdecimal()):
        raise UsageError("a controller is given as NAME@HOST:PORT", hint=DEFAULT_CONTROLLER, field="controller")
    folder = identity or Places.load().operator
    password = PasswordSource().to_open(is_encrypted=IdentityFolder(folder).is_encrypted)
    credentials = IdentityFolder(folder, password).read().credentials
    return OperatorClient(credentials, host.strip("[]"), int(port), name)


def _do(client: OperatorClient, order: Message, *, as_json: bool, seconds: float = ANSWER_SECONDS) -> None:
    from mohawk.contract.operating import Done

    done = asyncio.run(client.ask(order, Done, seconds))
    if as_json:
        print_json({"done": done.text})
    else:
        typer.echo(done.text)
