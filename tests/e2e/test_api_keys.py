"""Keys that are made, limited and revoked while a server runs: it goes by them within a second."""

from __future__ import annotations

import json
import ssl
import time

import httpx
import pytest

from tests.e2e.processes import Up

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("up")]


def answers(up: Up, key: str, status: int) -> None:
    """Within a second, the API says so to this key."""
    end = time.monotonic() + 1.0
    with httpx.Client(verify=ssl.create_default_context(cafile=up.root)) as client:
        while True:
            found = client.get(f"{up.url}/models", headers={"authorization": f"Bearer {key}"}).status_code
            if found == status or time.monotonic() > end:
                break
    assert found == status


def test_a_key_works_from_its_making_to_its_revocation(up: Up):
    made = json.loads(up.command("apikey", "create", "passer-by", "--json").stdout)
    answers(up, made["key"], 200)
    assert up.command("apikey", "revoke", "passer-by").returncode == 0
    answers(up, made["key"], 401)
    answers(up, up.key, 200)
