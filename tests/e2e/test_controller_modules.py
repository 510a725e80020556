"""The controller holds keys and text, so it loads as little as it can: neither torch nor transformers, not even once it has
served.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.processes import environment

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("up")]

PROGRAM = """
import asyncio, json, sys
from mohawk.cli.chat import read_address
from mohawk.cli.deployment import Deployment, DeploymentOptions
from mohawk.cli.key_option import choose_provider
from mohawk.client.openai import ApiClient
from mohawk.config import load_settings

async def main():
    settings = load_settings()
    provider = choose_provider(None, settings)
    options = DeploymentOptions(None, 1, provider, api_port=0, operator_port=0)
    deployment = Deployment(settings, options, lambda what, done, total: None)
    try:
        authority = await deployment.prepare()
        await deployment.start_workers(authority)
        await deployment.start_controller(authority)
        await deployment.start_api(authority)
        async with ApiClient(read_address(deployment.places)) as client:
            question = [{"role": "user", "content": "What is Mohawk?"}]
            return "".join([piece.text async for piece in client.stream_chat(question, temperature=0)])
    finally:
        await deployment.stop()

print(json.dumps({"answer": asyncio.run(main()), "modules": sorted(sys.modules)}))
"""


def test_a_controller_that_has_served_never_loaded_torch(tmp_path: Path):
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment(tmp_path / "home"),
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["answer"]
    heavy = ("torch", "transformers", "safetensors", "mohawk.model", "mohawk.worker")
    assert [
        name for name in found["modules"] if name in heavy or name.startswith(tuple(f"{one}." for one in heavy))
    ] == []
