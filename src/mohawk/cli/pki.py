"""`mohawk pki`: the operator's certificate authority."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from mohawk.cli.output import print_json, print_table
from mohawk.cli.places import Places
from mohawk.errors import UsageError

app = typer.Typer(help="Create the certificate authority and issue identities.", no_args_is_help=True)

FolderOption = Annotated[Path | None, typer.Option("--pki", help="Authority folder (default: in MIE_HOME).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command()
def init(
    folder: FolderOption = None,
    domain: Annotated[str, typer.Option(help="Trust domain of all node names.")] = "mohawk.local",
    json: JsonOption = False,
) -> None:
    """Create root, issuing authority and publisher key (P-384; ML-DSA-65 beside it for the publisher)."""
    from mohawk.host.authority import AuthorityFolder
    from mohawk.host.memory import harden_process

    harden_process()
    authority = AuthorityFolder(folder or Places.load().pki)
    authority.initialise(domain, _now())
    if json:
        print_json({"folder": str(authority.folder), "domain": domain})
        return
    typer.echo(f"authority for {domain} in {authority.folder}")
    typer.echo("next: copy root.key to a safe place offline and delete it here; issuing leaves does not need it")


@app.command()
def issue(
    role: Annotated[str, typer.Argument(help="controller, worker, client, operator, auditor; or api.")],
    name: Annotated[str, typer.Argument(help="Node name; for api: host names or addresses, comma-separated.")],
    out: Annotated[Path, typer.Option(help="Folder to write the identity into.")],
    folder: FolderOption = None,
    json: JsonOption = False,
) -> None:
    """Issue a fresh 24 h identity into a folder (files 0600)."""
    from mohawk.host.authority import AuthorityFolder
    from mohawk.host.identity import write_api_identity, write_node_identity
    from mohawk.host.memory import harden_process
    from mohawk.identity.names import parse_role

    harden_process()
    authority = AuthorityFolder(folder or Places.load().pki)
    if role == "api":
        write_api_identity(out, authority.issue_api(_parse_hosts(name), _now()), authority.roots())
    else:
        write_node_identity(out, authority.issue_node(parse_role(role), name, _now()), authority.pins())
    if json:
        print_json({"folder": str(out), "role": role, "name": name})
    else:
        typer.echo(f"{role} {name}: {out}")


@app.command()
def show(
    path: Annotated[Path | None, typer.Argument(help="Identity folder; without it, the authority.")] = None,
    folder: FolderOption = None,
    json: JsonOption = False,
) -> None:
    """Show names, validity and pins; no secret."""
    from mohawk.host.authority import AuthorityFolder
    from mohawk.host.identity import read_node_identity

    if path is not None:
        identity = read_node_identity(path)
        certificates = [("leaf", identity.chain[0]), ("issuing", identity.chain[1])]
        certificates += [("root", root) for root in identity.roots]
        names = {"leaf": str(identity.name)}
    else:
        authority = AuthorityFolder(folder or Places.load().pki)
        certificates = [("issuing", authority.issuing().certificate)]
        certificates += [("root", root) for root in authority.roots()]
        names = {"issuing": authority.domain, "root": authority.domain}
    rows = [
        (kind, names.get(kind, ""), f"{item.not_before:%Y-%m-%d %H:%M}", f"{item.not_after:%Y-%m-%d %H:%M}", item.pin)
        for kind, item in certificates
    ]
    columns = ("certificate", "name", "not before", "not after", "spki sha-256")
    if json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table("", columns, rows)


def _parse_hosts(text: str) -> tuple[str, ...]:
    """`localhost,127.0.0.1` -> the two. Raises UsageError."""
    hosts = tuple(host.strip() for host in text.split(","))
    if not all(hosts):
        raise UsageError("the API's certificate needs the names that clients dial", hint="localhost,127.0.0.1")
    return hosts


def _now() -> datetime:
    return datetime.now(UTC)
