"""Identities as folders, from `mohawk pki issue` to a node that reads them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mohawk.errors import HostError, MohawkError, PolicyError
from mohawk.host.authority import AuthorityFolder
from mohawk.host.identity import (
    read_api_identity,
    read_node_identity,
    read_publisher_pins,
    write_api_identity,
    write_node_identity,
)
from mohawk.identity.names import Role

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> AuthorityFolder:
    folder = AuthorityFolder(tmp_path_factory.mktemp("authority") / "pki")
    folder.initialise("mesh.example", NOW)
    return folder


def test_a_node_s_identity_comes_back_with_the_publisher_it_believes(authority: AuthorityFolder, tmp_path: Path):
    written = authority.issue_node(Role.WORKER, "w1", NOW)
    write_node_identity(tmp_path / "w1", written, authority.pins())
    read = read_node_identity(tmp_path / "w1")
    assert (read.name, read.chain, read.roots) == (written.name, written.chain, written.roots)
    assert read.key.spki() == written.key.spki()
    assert read_publisher_pins(tmp_path / "w1") == authority.pins()


def test_the_api_s_identity_comes_back(authority: AuthorityFolder, tmp_path: Path):
    written = authority.issue_api(("localhost",), NOW)
    write_api_identity(tmp_path / "api", written, authority.roots())
    read = read_api_identity(tmp_path / "api")
    assert (read.chain, read.key.spki()) == (written.chain, written.key.spki())


@pytest.mark.parametrize("name", ["identity.json", "api.key"])
def test_a_key_that_others_may_read_is_not_used(authority: AuthorityFolder, tmp_path: Path, name: str):
    write_node_identity(tmp_path / "node", authority.issue_node(Role.WORKER, "w1", NOW), authority.pins())
    write_api_identity(tmp_path / "node", authority.issue_api(("localhost",), NOW), authority.roots())
    (tmp_path / "node" / name).chmod(0o604)
    with pytest.raises(PolicyError):
        read_node_identity(tmp_path / "node") if name == "identity.json" else read_api_identity(tmp_path / "node")


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"key": "x"}'])
def test_a_damaged_identity_is_a_typed_error(authority: AuthorityFolder, tmp_path: Path, data: bytes):
    write_node_identity(tmp_path / "node", authority.issue_node(Role.WORKER, "w1", NOW), authority.pins())
    (tmp_path / "node" / "identity.json").write_bytes(data)
    with pytest.raises(MohawkError):
        read_node_identity(tmp_path / "node")


@pytest.mark.parametrize("data", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"])
def test_a_damaged_api_chain_is_a_typed_error(authority: AuthorityFolder, tmp_path: Path, data: bytes):
    write_api_identity(tmp_path / "api", authority.issue_api(("localhost",), NOW), authority.roots())
    (tmp_path / "api" / "api.pem").write_bytes(data)
    with pytest.raises(MohawkError):
        read_api_identity(tmp_path / "api")


def test_no_identity_there(tmp_path: Path):
    with pytest.raises(HostError):
        read_node_identity(tmp_path)
