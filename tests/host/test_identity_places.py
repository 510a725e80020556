"""An identity in a folder, and in two PEM files: under a password or not, whole after any crash, and the same node after
each renewal.
"""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mohawk.crypto.signing import SigningKey, is_encrypted
from mohawk.errors import HostError, IdentityError, MohawkError, PolicyError, UsageError
from mohawk.host import identity_files
from mohawk.host.authority import POLICY, AuthorityFolder
from mohawk.host.identity import IdentityFolder, IdentityPlace, NodeIdentity
from mohawk.host.identity_files import IdentityFiles
from mohawk.identity.names import Role
from mohawk.identity.policy import BUILT_IN, CertificatePolicy, encode_policy

NOW = datetime.now(UTC)
PASSWORD = b"correct horse battery staple"
FORMS = ["folder", "files"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> AuthorityFolder:
    folder = AuthorityFolder(tmp_path_factory.mktemp("authority") / "pki")
    folder.initialise("mesh.example", NOW)
    return folder


def identity(authority: AuthorityFolder, name: str = "w1") -> NodeIdentity:
    policy = CertificatePolicy(maximum_path_length=1)
    return NodeIdentity(authority.issue_node(Role.WORKER, name, NOW), authority.pins(), policy)


def place(form: str, folder: Path, password: bytes | None = None) -> IdentityPlace:
    if form == "folder":
        return IdentityFolder(folder / "w1", password)
    return IdentityFiles(folder / "worker.crt", folder / "keys" / "worker.key", password)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("password", [None, PASSWORD])
def test_what_is_written_is_read(authority: AuthorityFolder, tmp_path: Path, form: str, password: bytes | None) -> None:
    given = identity(authority)
    place(form, tmp_path, password).write(given)
    found = place(form, tmp_path, password).read()
    assert (found.credentials.chain, found.credentials.roots) == (given.credentials.chain, given.credentials.roots)
    assert found.credentials.key.spki() == given.credentials.key.spki()
    assert (found.pins, found.policy) == (given.pins, given.policy)
    assert place(form, tmp_path).is_encrypted is (password is not None)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_file()} == {0o600}


@pytest.mark.parametrize("form", FORMS)
def test_a_renewed_key_is_encrypted_under_the_same_password(
    authority: AuthorityFolder, tmp_path: Path, form: str
) -> None:
    where = place(form, tmp_path, PASSWORD)
    where.write(identity(authority))
    fresh = identity(authority).credentials
    where.renew(fresh)
    assert where.read().credentials.chain == fresh.chain
    text = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert is_encrypted(text)
    assert b"BEGIN PRIVATE KEY" not in text
    for wrong in (None, b"another password"):
        with pytest.raises((UsageError, IdentityError)):
            place(form, tmp_path, wrong).read()


@pytest.mark.parametrize("form", FORMS)
def test_who_lost_the_password_hears_what_to_do(authority: AuthorityFolder, tmp_path: Path, form: str) -> None:
    place(form, tmp_path, PASSWORD).write(identity(authority))
    with pytest.raises(MohawkError) as error:
        place(form, tmp_path).read()
    assert "MIE_KEY_PASSWORD" in error.value.hint


@pytest.mark.parametrize("form", FORMS)
def test_a_key_that_others_may_read(authority: AuthorityFolder, tmp_path: Path, form: str) -> None:
    place(form, tmp_path).write(identity(authority))
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.chmod(0o644)
    with pytest.raises(PolicyError):
        place(form, tmp_path).read()


@pytest.mark.parametrize("form", FORMS)
def test_nothing_there(tmp_path: Path, form: str) -> None:
    assert not place(form, tmp_path).is_encrypted
    with pytest.raises(HostError):
        place(form, tmp_path).read()


@pytest.mark.parametrize("form", FORMS)
def test_the_policy_beside_it_is_read_and_may_be_missing(authority: AuthorityFolder, tmp_path: Path, form: str) -> None:
    place(form, tmp_path).write(identity(authority))
    (policy,) = tmp_path.rglob(POLICY)
    policy.write_bytes(encode_policy(BUILT_IN).replace(b"384", b"256"))
    with pytest.raises(UsageError, match="key_size_bits"):
        place(form, tmp_path).read()
    policy.unlink()
    assert place(form, tmp_path).read().policy == BUILT_IN


# ---- two files ------------------------------------------------------------------------------------------------------


class KilledError(BaseException):
    """The process ended here."""


@pytest.mark.parametrize("password", [None, PASSWORD])
@pytest.mark.parametrize("writes", [0, 1, 2, 3])
def test_a_crash_between_two_writes_leaves_a_key_for_its_certificate(
    authority: AuthorityFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int, password: bytes | None
) -> None:
    """Each write is whole or not at all (S16); so every crash point is a number of writes that were made."""
    where = place("files", tmp_path, password)
    old, new, last = (identity(authority) for _ in range(3))
    where.write(old)
    made, real = 0, identity_files.write_file

    def write_file(path: Path, data: bytes) -> None:
        nonlocal made
        if made == writes:
            raise KilledError
        made += 1
        real(path, data)

    monkeypatch.setattr(identity_files, "write_file", write_file)
    try:
        where.renew(new.credentials)
    except KilledError:
        assert writes < 3
    monkeypatch.setattr(identity_files, "write_file", real)
    found = place("files", tmp_path, password).read().credentials
    expected = (old if writes < 2 else new).credentials
    assert found.chain == expected.chain
    assert found.key.spki() == expected.key.spki()

    where.renew(last.credentials)  # and the next renewal goes on from there
    assert where.read().credentials.chain == last.credentials.chain
    pem = (tmp_path / "keys" / "worker.key").read_bytes()
    assert len(SigningKey.several_from_pem(pem, password)) == 1


def test_an_operator_s_own_pem_files(authority: AuthorityFolder, tmp_path: Path) -> None:
    """Made elsewhere, with a text in front, and the key in the older format."""
    given = identity(authority)
    place("files", tmp_path).write(given)
    certificate = tmp_path / "worker.crt"
    certificate.write_bytes(b"subject=w1\n" + certificate.read_bytes())
    assert place("files", tmp_path).read().credentials.chain == given.credentials.chain


@pytest.mark.parametrize("data", [b"", b"no certificate", b"leaf only"])
def test_a_certificate_file_that_cannot_be(authority: AuthorityFolder, tmp_path: Path, data: bytes) -> None:
    given = identity(authority)
    place("files", tmp_path).write(given)
    leaf = given.credentials.chain[0].pem
    (tmp_path / "worker.crt").write_bytes(leaf if data == b"leaf only" else data)
    with pytest.raises(IdentityError):
        place("files", tmp_path).read()


def test_a_key_of_another_certificate(authority: AuthorityFolder, tmp_path: Path) -> None:
    place("files", tmp_path).write(identity(authority))
    (tmp_path / "keys" / "worker.key").write_bytes(SigningKey.generate().to_pem())
    with pytest.raises(IdentityError, match="certificate's key"):
        place("files", tmp_path).read()


def test_two_nodes_in_one_folder_remember_apart(tmp_path: Path) -> None:
    one = IdentityFiles(tmp_path / "worker.crt", tmp_path / "worker.key")
    other = IdentityFiles(tmp_path / "other.crt", tmp_path / "other.key")
    assert one.trust_file != other.trust_file
