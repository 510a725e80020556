"""`mohawk pki`: the operator's certificate authority."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mohawk.cli import rotate
from mohawk.cli.authority import FolderOption, JsonOption, closed_authority, open_authority
from mohawk.cli.command_log import command_log
from mohawk.cli.output import print_json, print_table
from mohawk.cli.passwords import PasswordFileOption, PasswordSource
from mohawk.cli.places import Places
from mohawk.errors import UsageError

if TYPE_CHECKING:
    from mohawk.crypto.x509 import Certificate
    from mohawk.host.authority import AuthorityFolder

app = typer.Typer(help="Create the certificate authority, let nodes in, and take trust back.", no_args_is_help=True)
app.add_typer(rotate.app, name="rotate")

RoleOption = Annotated[str, typer.Option(help="worker, controller, client, operator or auditor.")]

NEXT = """\
next:
  copy root.key to a safe place offline and delete it here; only `mohawk pki rotate` asks for it
  mohawk pki issue controller controller --out DIR, then mohawk controller run --identity DIR
  mohawk pki token worker-1 --controller HOST:8002, then mohawk worker join TOKEN on the worker's machine"""


@app.command()
def init(
    folder: FolderOption = None,
    domain: Annotated[str, typer.Option(help="Trust domain of all node names.")] = "mohawk.local",
    password_file: PasswordFileOption = None,
    json: JsonOption = False,
) -> None:
    """Create root, issuing authority, deny-list key and publisher key (P-384; ML-DSA-65 beside it for the publisher),
    and requirements.yaml, the certificate policy. A policy that is there already is kept to.
    """
    from mohawk.host.authority import AuthorityFolder
    from mohawk.host.memory import harden_process

    harden_process()
    path = folder or Places.load().pki
    if AuthorityFolder(path).exists:
        raise UsageError(f"{path} holds an authority already", hint="use `mohawk pki show` or another folder")
    password = PasswordSource(password_file).to_make("the authority's keys")
    with command_log() as record:
        AuthorityFolder(path, password).initialise(domain, _now(), record)
    if json:
        print_json({"folder": str(path), "domain": domain, "encrypted": password is not None})
        return
    typer.echo(f"authority for {domain} in {path}, keys {'under a password' if password else 'in clear'}")
    typer.echo(NEXT)


@app.command()
def issue(
    role: Annotated[str, typer.Argument(help="controller, worker, client, operator, auditor; or api.")],
    name: Annotated[str, typer.Argument(help="Node name; for api: host names or addresses, comma-separated.")],
    out: Annotated[Path, typer.Option(help="Folder to write the identity into.")],
    folder: FolderOption = None,
    password_file: PasswordFileOption = None,
    key_password_file: Annotated[Path | None, typer.Option(help="Encrypt the new key under this password.")] = None,
    json: JsonOption = False,
) -> None:
    """Issue a fresh 24 h identity, key included, into a folder (files 0600). Workers better join by token: their key
    is then born where it is used.
    """
    from mohawk.host.identity import write_api_identity, write_node_identity
    from mohawk.host.memory import harden_process
    from mohawk.identity.names import parse_role

    harden_process()
    authority = open_authority(folder, PasswordSource(password_file))
    password = PasswordSource(key_password_file).to_make("the key") if key_password_file else None
    if role == "api":
        leaf = authority.issue_api(_parse_hosts(name), _now())
        _record_issue(f"api {name}", leaf.chain[0])
        write_api_identity(out, leaf, authority.roots(), password)
    else:
        credentials = authority.issue_node(parse_role(role), name, _now())
        _record_issue(str(credentials.name), credentials.chain[0])
        write_node_identity(out, credentials, authority.pins(), authority.policy(), password)
    if json:
        print_json({"folder": str(out), "role": role, "name": name})
    else:
        typer.echo(f"{role} {name}: {out}")


@app.command()
def token(
    name: Annotated[str, typer.Argument(help="Name of the node that may join.")],
    controller: Annotated[str, typer.Option(help="HOST:PORT of the controller's join port, as the node reaches it.")],
    role: RoleOption = "worker",
    ek_hash: Annotated[str, typer.Option(help="SHA-256 of the public area of the TPM key that must be there.")] = "",
    folder: FolderOption = None,
    json: JsonOption = False,
) -> None:
    """Make a join token: for one machine, once, for ten minutes. It is a secret until it is used."""
    from mohawk.host.join_book import JoinBook
    from mohawk.host.memory import harden_process
    from mohawk.identity.join_token import encode_token
    from mohawk.identity.names import parse_role

    harden_process()
    book = JoinBook(closed_authority(folder))
    with command_log() as record:
        made = book.issue(parse_role(role), name, controller, _now(), record, ek_hash)
    text = encode_token(made)
    if json:
        facts = {"token": text, "name": str(made.name), "expires": made.expires.isoformat(), "id": made.id.hex()}
        print_json(facts | {"controller": controller, "ek_hash": ek_hash})
        return
    typer.echo(text)
    typer.echo(f"for {made.name}, until {made.expires:%H:%M:%S} UTC; on its machine:", err=True)
    typer.echo("  mohawk worker join TOKEN --identity DIR", err=True)


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="Node name, SPIFFE id, or serial:HEX of one certificate.")],
    reason: Annotated[str, typer.Option(help="For the record, at most 128 characters.")],
    role: RoleOption = "worker",
    folder: FolderOption = None,
    json: JsonOption = False,
) -> None:
    """Deny a node from now on: a running controller cuts its connections within 5 s, and it gets no certificate. One
    operator is enough; lifting a revocation takes two (`mohawk operator lift`).
    """
    from mohawk.audit.events import AuditEvent, EventKind
    from mohawk.host.revocations import Revocations
    from mohawk.identity.names import NodeName, parse_role

    authority = closed_authority(folder)
    subject = name if ":" in name else str(NodeName(authority.domain, parse_role(role), name))
    Revocations(authority).deny(subject, reason, _now())
    if json:
        print_json({"revoked": subject, "reason": reason})
    else:
        typer.echo(f"{subject} is revoked; a controller that runs on this authority tells every node now")
    with command_log() as record:  # last: taking trust back waits for no log
        record(AuditEvent(EventKind.NODE_REVOKED, subject, {"reason": reason}))


@app.command("list")
def list_all(folder: FolderOption = None, json: JsonOption = False) -> None:
    """Show what there is: authorities and when they end, who is denied, open tokens, and who joined. No secret."""
    tables = _tables(closed_authority(folder))
    if json:
        print_json({title: [dict(zip(columns, row, strict=True)) for row in rows] for title, columns, rows in tables})
        return
    for title, columns, rows in tables:
        if rows:
            print_table(title, columns, rows)
        else:
            typer.echo(f"{title}: none")


@app.command()
def show(
    path: Annotated[Path | None, typer.Argument(help="Identity folder; without it, the authority.")] = None,
    folder: FolderOption = None,
    password_file: PasswordFileOption = None,
    json: JsonOption = False,
) -> None:
    """Show names, validity and pins; no secret."""
    from mohawk.host.identity import IdentityFolder

    if path is not None:
        is_encrypted = IdentityFolder(path).is_encrypted
        identity = IdentityFolder(path, PasswordSource(password_file).to_open(is_encrypted=is_encrypted)).read()
        credentials = identity.credentials
        certificates = [("leaf", credentials.chain[0]), ("issuing", credentials.chain[1])]
        certificates += [("root", root) for root in credentials.roots]
        names = {"leaf": str(credentials.name)}
    else:
        authority = closed_authority(folder)
        certificates = [("issuing", authority.issuing_certificate())]
        certificates += [("root", root) for root in authority.roots()]
        names = {"issuing": authority.domain, "root": authority.domain}
    rows = [
        (kind, names.get(kind, ""), _minute(item.not_before), _minute(item.not_after), item.pin)
        for kind, item in certificates
    ]
    columns = ("certificate", "name", "not before", "not after", "spki sha-256")
    if json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table("", columns, rows)


def _record_issue(subject: str, leaf: Certificate) -> None:
    """Before it is written: who has an identity is on record (N04)."""
    from mohawk.audit.events import AuditEvent, EventKind

    with command_log() as record:
        record(AuditEvent(EventKind.IDENTITY_ISSUED, subject, {"serial": f"{leaf.serial:x}"}))


Table = tuple[str, tuple[str, ...], Sequence[tuple[str, ...]]]
"""Title, columns, rows."""


def _tables(authority: AuthorityFolder) -> list[Table]:
    from mohawk.host.join_book import JoinBook
    from mohawk.host.revocations import Revocations

    book = JoinBook(authority)
    issuing = authority.issuing_certificate()
    authorities = [("issuing", _minute(issuing.not_after), issuing.pin)]
    authorities += [("root", _minute(root.not_after), root.pin) for root in authority.roots()]
    denials = [(one.subject, _minute(one.since), one.reason) for one in Revocations(authority).denials()]
    tokens = [(str(one.name), f"{one.expires:%H:%M:%S}", one.ek_hash) for one in book.open_tokens(_now())]
    nodes = [(str(one.name), _minute(one.joined), one.serial, one.ek_hash) for one in book.nodes()]
    return [
        ("authorities", ("certificate", "not after", "spki sha-256"), authorities),
        ("denied", ("subject", "since", "reason"), denials),
        ("open tokens", ("name", "expires", "tpm"), tokens),
        ("joined", ("name", "joined", "first serial", "tpm"), nodes),
    ]


def _minute(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M}"


def _parse_hosts(text: str) -> tuple[str, ...]:
    """`localhost,127.0.0.1` -> the two. Raises UsageError."""
    hosts = tuple(host.strip() for host in text.split(","))
    if not all(hosts):
        raise UsageError("the API's certificate needs the names that clients dial", hint="localhost,127.0.0.1")
    return hosts


def _now() -> datetime:
    return datetime.now(UTC)
