"""A cluster for benches: the same parts as `mohawk up`; the API only where a bench starts it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

from mohawk.cli.deployment import Deployment, DeploymentOptions
from mohawk.cli.key_option import choose_provider
from mohawk.config import Settings
from mohawk.controller.layout import Layout
from mohawk.generation.session import GenerationRequest
from mohawk.nouns.model import SamplingParameters


@asynccontextmanager
async def cluster(model: Path, workers: int, kv_tokens: int, layout: Layout = Layout.EVEN) -> AsyncIterator[Deployment]:
    """A running deployment over `workers` processes, in a temporary home."""
    with tempfile.TemporaryDirectory(prefix="mohawk-bench-") as home:
        settings = Settings(home=Path(home), key_provider="")
        provider = choose_provider(None, settings)
        options = DeploymentOptions(
            model, workers, provider, kv_tokens=kv_tokens, api_port=0, operator_port=0, layout=layout
        )
        deployment = Deployment(settings, options, lambda _what, _done, _total: None)
        try:
            authority = await deployment.prepare()
            await deployment.start_workers(authority)
            yield deployment
        finally:
            await deployment.stop()


async def step_times(deployment: Deployment, prompt: tuple[int, ...], tokens: int) -> list[float]:
    """Seconds between the tokens of one greedy sequence, prefill left out."""
    assert deployment.controller is not None
    request = GenerationRequest(prompt, tokens + 1, SamplingParameters(temperature=0.0))
    times = [time.perf_counter() async for _ in deployment.controller.engine.generate(request)]
    return [after - before for before, after in pairwise(times)]
