"""What a whole run leaves in the audit logs of its nodes, and what strangers add to them while it goes on."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mohawk.channel.profile import NodeContext
from mohawk.contract.messages import Purpose
from mohawk.errors import MohawkError
from mohawk.host.authority import AuthorityFolder
from mohawk.host.revocations import Revocations
from mohawk.identity.names import Role
from mohawk.transport.dial import Target, dial
from tests.e2e.processes import Up, command
from tests.e2e.running import FirstRun

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("up")]

PATIENCE = 30.0


def entries(home: Path, *file: str) -> list[dict[str, object]]:
    """Of a log that verifies."""
    answer = command(home, "audit", "verify", *file)
    assert answer.returncode == 0, answer.stderr
    answer = command(home, "audit", "tail", "-n", "1000", "--json", *file)
    return [json.loads(line) for line in answer.stdout.splitlines()]


def test_a_run_that_ended_is_on_record(first_run: FirstRun) -> None:
    log = entries(first_run.home)
    kinds = ["started", "key-released", "key-released", "api-key-created", "stopped"]
    assert [entry["kind"] for entry in log[: len(kinds)]] == kinds
    assert {entry["subject"] for entry in log[1:3]} == {
        "spiffe://mohawk.local/worker/worker-1",
        "spiffe://mohawk.local/worker/worker-2",
    }
    for name in ("worker-1", "worker-2"):
        path = str(first_run.home / "workers" / name / "store" / "audit.jsonl")
        assert [entry["kind"] for entry in entries(first_run.home, path)[:2]] == ["started", "stopped"]


def test_who_is_refused_is_on_record_while_it_runs(up: Up) -> None:
    """At the operators' port: somebody without a certificate, and a worker of this very domain."""
    port = int(up.ready["operator_port"])
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
    asyncio.run(knock(AuthorityFolder(up.home / "pki"), port))
    deadline = time.monotonic() + PATIENCE
    wanted = {
        ("connection-refused", "127.0.0.1", "handshake_failed"),
        ("access-refused", "spiffe://mohawk.local/worker/worker-1", "access_refused"),
    }
    found: set[tuple[object, object, object]] = set()
    while not wanted <= found:
        assert time.monotonic() < deadline, found
        found = {
            (entry["kind"], entry["subject"], dict(entry["details"]).get("reason"))  # type: ignore[call-overload]
            for entry in entries(up.home)
        }


async def knock(authority: AuthorityFolder, port: int) -> None:
    now = datetime.now(UTC)
    context = NodeContext(authority.issue_node(Role.WORKER, "worker-1", now))
    context.standing.learn_deny_list(Revocations(authority).issue(now), now)
    with pytest.raises(MohawkError):
        await dial(context, Target("127.0.0.1", port, Role.CONTROLLER, "controller"), Purpose.OPERATOR)
