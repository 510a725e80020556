"""What goes one way between the controller and a worker is lost for thirty seconds, and no spare stands by: requests hear
it, and the cluster serves again by itself, with the same tokens, when the way is free.

Nobody else can drive the slice meanwhile. A worker takes one controller at a time; one that loses it overwrites its stage
and begins anew, and has no key until a controller brings one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e.streams import build_endless
from tests.hosts.network import missing
from tests.hosts.site import HostedCluster, hosted

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xdist_group("hosts"),
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]

WORKERS = ("w1", "w2")
CUT_SECONDS = 30.0
LIMIT_SECONDS = 5.0
"""From then on to an answer; the test prints what it took."""
ASKED = {"model": "endless", "prompt": [5, 6, 7], "max_tokens": 24, "temperature": 0, "return_token_ids": True}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostedCluster]:
    folder = tmp_path_factory.mktemp("one-way")
    source = build_endless(folder / "endless", 1024)
    with hosted(folder / "hosts", "operator", *WORKERS) as made:
        made.prepare(source, WORKERS)
        controller = made.start_controller(WORKERS)
        controller.errors_until("waiting for w1")
        for name in WORKERS:
            made.join(name, made.token(name))
            made.start_worker(name)
        controller.read_until("serving endless")
        yield made


def tokens(cluster: HostedCluster) -> list[int]:
    """Empty when it is refused, which is never anything but 503."""
    status, answer = cluster.ask("operator", ASKED)
    assert status in (200, 503), answer
    return list(answer["choices"][0]["token_ids"]) if status == 200 else []


@pytest.mark.parametrize(("sender", "receiver"), [("operator", "w1"), ("w1", "operator")])
def test_thirty_seconds_of_one_way(
    cluster: HostedCluster, sender: str, receiver: str, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = tokens(cluster)
    assert expected
    hosts = cluster.hosts
    hosts[sender].lose(hosts[receiver])
    end = time.monotonic() + CUT_SECONDS
    try:
        while time.monotonic() < end:
            assert tokens(cluster) in ([], expected)
        assert tokens(cluster) == []
    finally:
        hosts[sender].lose(hosts[receiver], lost=False)
    healed = time.monotonic()
    while not (answer := tokens(cluster)):
        assert time.monotonic() < healed + LIMIT_SECONDS
    with capsys.disabled():
        print(
            f"\nnothing from {sender} to {receiver}: {time.monotonic() - healed:.2f} s after that to an answer", end=""
        )
    assert answer == expected
