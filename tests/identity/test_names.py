"""One identity has one spelling."""

from __future__ import annotations

import pytest

from mohawk.errors import UsageError
from mohawk.identity.names import IdentityRefusedError, NodeName, Reason, Role, parse_role


def test_a_name_survives_its_spelling() -> None:
    name = NodeName("mesh.example", Role.WORKER, "w1")
    assert str(name) == "spiffe://mesh.example/worker/w1"
    assert NodeName.parse(str(name)) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "spiffe://mesh.example",
        "spiffe://mesh.example/",
        "spiffe://mesh.example/worker",
        "spiffe://mesh.example/worker/",
        "spiffe://mesh.example/worker/w1/",
        "spiffe://mesh.example/worker/w1/x",
        "spiffe://mesh.example/admin/w1",
        "spiffe://mesh.example/Worker/w1",
        "spiffe://mesh.example/worker/W1",
        "spiffe://mesh.example/worker/w1\n",
        "spiffe://mesh.example/worker/w%31",
        "spiffe://mesh.example/worker/w1?x",
        "spiffe://mesh.example:443/worker/w1",
        "spiffe://a@mesh.example/worker/w1",
        "spiffe://Mesh.example/worker/w1",
        "spiffe://mesh..example/worker/w1",
        "spiffe://mesh.example./worker/w1",
        "SPIFFE://mesh.example/worker/w1",
        "https://mesh.example/worker/w1",
        "mesh.example/worker/w1",
        "spiffe://spiffe://mesh.example/worker/w1",
        "spiffe://mesh.example/worker/../w1",
        "spiffe://mesh.example/worker/ẃ1",
        f"spiffe://{'a' * 300}/worker/w1",
        f"spiffe://mesh.example/worker/{'a' * 64}",
    ],
)
def test_any_other_spelling_names_nobody(text: str) -> None:
    with pytest.raises(IdentityRefusedError) as caught:
        NodeName.parse(text)
    assert caught.value.reason is Reason.MALFORMED_NAME
    assert "mesh" not in caught.value.message  # no peer's bytes in the error


def test_our_own_mistakes_are_usage_errors() -> None:
    with pytest.raises(UsageError):
        NodeName("Mesh", Role.WORKER, "w1")
    with pytest.raises(UsageError):
        NodeName("mesh.example", Role.WORKER, "w_1")
    with pytest.raises(UsageError) as caught:
        parse_role("root")
    assert "operator" in caught.value.hint
    assert parse_role("auditor") is Role.AUDITOR
