"""A node's identity as one byte string."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from mohawk.errors import IdentityError
from mohawk.identity.credentials import NodeCredentials, encode, parse
from mohawk.identity.names import IdentityRefusedError, Reason, Role
from tests.support.tls import Mesh, utc_now


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return Mesh()


def test_credentials_survive_their_encoding(mesh: Mesh) -> None:
    ours = mesh.credentials(Role.OPERATOR, "laptop")
    again = parse(encode(ours))
    assert again.chain == ours.chain
    assert again.roots == ours.roots
    assert again.key.spki() == ours.key.spki()
    assert again.name == mesh.name(Role.OPERATOR, "laptop")
    assert again.pins == {mesh.root.certificate.pin}


def test_the_key_shows_in_no_repr(mesh: Mesh) -> None:
    ours = mesh.credentials()
    assert "SigningKey" not in repr(ours)
    assert "PRIVATE" not in repr(ours)


def test_an_expired_identity_shows_at_start(mesh: Mesh) -> None:
    ours = mesh.credentials()
    assert ours.check(utc_now()).name == ours.name
    with pytest.raises(IdentityRefusedError) as caught:
        ours.check(utc_now() + timedelta(days=2))
    assert caught.value.reason is Reason.EXPIRED


def test_another_nodes_key_is_refused(mesh: Mesh) -> None:
    one, other = mesh.credentials(), mesh.credentials()
    with pytest.raises(IdentityError, match="key is not"):
        NodeCredentials(one.chain, other.key, one.roots)


@pytest.mark.parametrize("change", ["unknown", "missing", "format", "number", "empty", "surrogate", "swapped"])
def test_a_changed_bundle_is_refused(mesh: Mesh, change: str) -> None:
    document = json.loads(encode(mesh.credentials()))
    match change:
        case "unknown":
            document["password"] = ""
        case "missing":
            del document["roots"]
        case "format":
            document["format"] = "mohawk-node-1"
        case "number":
            document["key"] = 7
        case "empty":
            document["roots"] = ""
        case "surrogate":
            document["chain"] = "\ud800"
        case "swapped":
            document["chain"], document["roots"] = document["roots"], document["chain"]
    with pytest.raises(IdentityError):
        parse(json.dumps(document).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 50_000, b"0" * 70_000])
def test_bytes_that_are_no_bundle_are_refused(data: bytes) -> None:
    with pytest.raises(IdentityError):
        parse(data)
