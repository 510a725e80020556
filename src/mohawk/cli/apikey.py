"""`mohawk apikey`: who may use the HTTP API, for what and how much. A running server goes by it from the next request
on.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from mohawk.cli.output import print_json, print_table
from mohawk.cli.store import api_keys
from mohawk.errors import UsageError

if TYPE_CHECKING:
    from mohawk.audit.events import EventKind
    from mohawk.generation.quota import Limits
    from mohawk.generation.session import Priority
    from mohawk.store.api_keys import ApiKey, Scope

app = typer.Typer(help="API keys: who may use the HTTP API, for what and how much.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="The key's name.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
RequestsOption = Annotated[int | None, typer.Option(min=0, help="Requests a minute; 0: no limit.")]
TokensOption = Annotated[int | None, typer.Option(min=0, help="Tokens a minute, prompts and answers; 0: no limit.")]
ConcurrencyOption = Annotated[int | None, typer.Option(min=0, help="Answers at once; 0: no limit.")]
SessionsOption = Annotated[int | None, typer.Option(min=0, help="Sessions held at once; 0: no limit.")]
PriorityOption = Annotated[str | None, typer.Option(help="high, normal or low: the best that its requests get.")]


@app.command()
def create(
    name: NameArgument,
    tenant: Annotated[str, typer.Option(help="Keys of one tenant see each other's sessions.")] = "default",
    scope: Annotated[list[str] | None, typer.Option(help="generate, models, sessions; repeat. Default: all.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="A model that it may use; repeat. Default: every one.")
    ] = None,
    priority: PriorityOption = None,
    requests_per_minute: RequestsOption = None,
    tokens_per_minute: TokensOption = None,
    concurrency: ConcurrencyOption = None,
    sessions: SessionsOption = None,
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="Until it expires; without: never.")] = None,
    json: JsonOption = False,
) -> None:
    """Make a key, and show it once: what is kept is its digest."""
    from mohawk.api.auth import digest_key, generate_key
    from mohawk.audit.events import EventKind
    from mohawk.generation.quota import UNLIMITED
    from mohawk.generation.session import Priority
    from mohawk.store.api_keys import EVERY_SCOPE, ApiKey

    secret, now = generate_key(), _now()
    given = (requests_per_minute, tokens_per_minute, concurrency, sessions)
    key = ApiKey(
        name,
        digest_key(secret),
        now,
        tenant,
        frozenset(map(_parse_scope, scope)) if scope else EVERY_SCOPE,
        frozenset(model or ()),
        _parse_priority(priority, Priority.NORMAL),
        _change_limits(UNLIMITED, *given),
        now + timedelta(days=days) if days else None,
    )
    with api_keys() as table:
        _record(EventKind.API_KEY_CREATED, key)
        table.add(key)
    if json:
        print_json(_document(key) | {"key": secret})
        return
    typer.echo(secret)
    typer.echo(f"next: give it to its user now, it is not shown again; `mohawk apikey show {name}`", err=True)


@app.command("list")
def list_keys(json: JsonOption = False) -> None:
    """Show every key's name, standing and limits."""
    with api_keys() as table:
        keys = table.all()
    if json:
        print_json([_document(key) for key in keys])
        return
    columns = ("name", "tenant", "standing", "scopes", "priority", "requests/min", "tokens/min", "at once", "sessions")
    print_table("", columns, (_row(key) for key in keys))


@app.command()
def show(name: NameArgument, json: JsonOption = False) -> None:
    """Show all that is known of a key; never the key."""
    with api_keys() as table:
        document = _document(table.get(name))
    if json:
        print_json(document)
    else:
        print_table("", ("what", "value"), ((what, _text(value)) for what, value in document.items()))


@app.command()
def limit(
    name: NameArgument,
    priority: PriorityOption = None,
    requests_per_minute: RequestsOption = None,
    tokens_per_minute: TokensOption = None,
    concurrency: ConcurrencyOption = None,
    sessions: SessionsOption = None,
    json: JsonOption = False,
) -> None:
    """Change a key's limits or priority; what is not named stays."""
    from mohawk.audit.events import EventKind

    given = (requests_per_minute, tokens_per_minute, concurrency, sessions)
    if priority is None and given == (None, None, None, None):
        raise UsageError("nothing to change", hint="name a limit, for example --requests-per-minute 60")

    def edit(key: ApiKey) -> ApiKey:
        limits, best = _change_limits(key.limits, *given), _parse_priority(priority, key.priority)
        changed = replace(key, limits=limits, priority=best)
        _record(EventKind.API_KEY_CHANGED, changed)
        return changed

    with api_keys() as table:
        _tell(table.change(name, edit), as_json=json)


@app.command()
def revoke(name: NameArgument, json: JsonOption = False) -> None:
    """Refuse a key from now on, for good."""
    from mohawk.audit.events import EventKind

    now = _now()
    with api_keys() as table:
        key = table.change(name, lambda key: key if key.revoked else replace(key, revoked=now))
    _record(EventKind.API_KEY_REVOKED, key)  # afterwards: taking trust back waits for nothing
    _tell(key, as_json=json)


def _record(kind: EventKind, key: ApiKey) -> None:
    from mohawk.audit.events import AuditEvent
    from mohawk.cli.command_log import command_log

    limits = {name: str(value) for name, value in asdict(key.limits).items() if value is not None}
    details = {"tenant": key.tenant, "scopes": " ".join(sorted(key.scopes)), "priority": key.priority.name.lower()}
    with command_log() as record:
        record(AuditEvent(kind, key.name, details | limits))


def _change_limits(
    limits: Limits, requests: int | None, tokens: int | None, concurrency: int | None, sessions: int | None
) -> Limits:
    given = {
        "requests_per_minute": requests,
        "tokens_per_minute": tokens,
        "concurrency": concurrency,
        "sessions": sessions,
    }
    return replace(limits, **{name: value or None for name, value in given.items() if value is not None})


def _parse_scope(text: str) -> Scope:
    from mohawk.store.api_keys import Scope

    if text not in set(Scope):
        raise UsageError("not a scope", hint=f"scopes are {', '.join(sorted(Scope))}", field="scope")
    return Scope(text)


def _parse_priority(text: str | None, default: Priority) -> Priority:
    from mohawk.generation.session import Priority

    if text is None:
        return default
    known = {one.name.lower(): one for one in Priority}
    if text not in known:
        raise UsageError("not a priority", hint=f"priorities are {', '.join(known)}", field="priority")
    return known[text]


def _standing(key: ApiKey) -> str:
    if key.revoked is not None:
        return "revoked"
    return "expired" if key.expires is not None and key.expires <= _now() else "valid"


def _document(key: ApiKey) -> dict[str, object]:
    times = {name: getattr(key, name) for name in ("created", "expires", "revoked")}
    return {
        "name": key.name,
        "tenant": key.tenant,
        "standing": _standing(key),
        "digest": key.digest.hex(),
        "scopes": sorted(key.scopes),
        "models": sorted(key.models),
        "priority": key.priority.name.lower(),
        "limits": asdict(key.limits),
        **{name: when and when.isoformat() for name, when in times.items()},
    }


def _row(key: ApiKey) -> tuple[object, ...]:
    limits = tuple(_text(value) for value in asdict(key.limits).values())
    return (key.name, key.tenant, _standing(key), " ".join(sorted(key.scopes)), key.priority.name.lower(), *limits)


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    return ", ".join(value) or "all" if isinstance(value, list) else "-" if value is None else str(value)


def _now() -> datetime:
    """In whole seconds, as the store keeps them."""
    return datetime.now(UTC).replace(microsecond=0)


def _tell(key: ApiKey, *, as_json: bool) -> None:
    if as_json:
        print_json(_document(key))
    else:
        typer.echo(f"{key.name}: {_standing(key)}; {_text(asdict(key.limits))}; priority {key.priority.name.lower()}")
