"""The promise end to end: sealed, shipped, opened and chained over TLS, a model says what it says unsplit."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from mohawk.nouns.model import DataType, SamplingParameters
from mohawk.transport.dial import Target
from tests.e2e.inside import Site, generate, generate_all
from tests.model.opening import decode_alone, seeded_prompts
from tests.support.models import build_model
from tests.support.nodes import run

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("up")]

NEW_TOKENS = 64
SECONDS = 120


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site") / "home")


@pytest.fixture(scope="module")
def workers(site: Site) -> Iterator[tuple[Target, ...]]:
    """Three processes that serve one controller after the other."""
    with site.worker_processes(3) as targets:
        yield targets


@cache
def prompts() -> list[list[int]]:
    return seeded_prompts(1, 17, 200)


@cache
def model(folder: Path, family: str) -> Path:
    return build_model(folder / family, family)


@cache
def expected(folder: Path) -> list[list[int]]:
    return decode_alone(folder, prompts(), NEW_TOKENS)


@pytest.mark.parametrize("slices", [2, 3])
@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_three_sequences_at_once_say_what_each_says_alone_unsplit(
    models: Path, site: Site, workers: tuple[Target, ...], family: str, slices: int
):
    source = model(models, family)

    async def main() -> list[list[int]]:
        async with site.serving(source, workers[:slices]) as controller:
            found = await generate_all(controller, prompts(), NEW_TOKENS)
            assert controller.status().kv_tokens_used == 0, "what answers held is given back"
            return found

    found = run(main, seconds=SECONDS)
    assert found == expected(source)
    assert all(len(set(tokens)) > 8 for tokens in found), "a model that repeats itself would prove nothing"


def test_a_seed_decides_and_another_seed_differs(models: Path, site: Site, workers: tuple[Target, ...]):
    source = model(models, "llama")

    async def main() -> list[list[int]]:
        async with site.serving(source, workers[1:]) as controller:
            one, other = (SamplingParameters(temperature=1.2, top_p=0.95, seed=seed) for seed in (7, 8))
            prompt = prompts()[1]
            together, _ = await generate_all(controller, [prompt, prompts()[2]], 32, one)
            return [
                together,
                await generate(controller, prompt, 32, one),
                await generate(controller, prompt, 32, other),
            ]

    together, again, other = run(main, seconds=SECONDS)
    assert together == again, "who else is in the step plays no part"
    assert other != again


def test_bfloat16_to_the_end(models: Path, site: Site, workers: tuple[Target, ...]):
    source = model(models, "llama")

    async def main() -> list[list[int]]:
        async with site.serving(source, workers[:2], DataType.BFLOAT16) as controller:
            return await generate_all(controller, prompts(), 16)

    assert [len(tokens) for tokens in run(main, seconds=SECONDS)] == [16, 16, 16]
