"""A key under a password is the standard's: any reader of PKCS #8 opens it, and only with the password."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mohawk.crypto.signing import SigningKey, is_encrypted
from mohawk.errors import UsageError

PASSWORD = b"correct horse battery staple"


def test_the_library_s_own_reader_opens_it() -> None:
    key = SigningKey.generate()
    pem = key.to_pem(PASSWORD)
    assert is_encrypted(pem)
    assert load_pem_private_key(pem, PASSWORD).private_numbers() == key.private.private_numbers()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="install openssl, the command")
def test_openssl_opens_it(tmp_path: Path) -> None:
    key = SigningKey.generate()
    path, password = tmp_path / "key.pem", tmp_path / "password"
    path.write_bytes(key.to_pem(PASSWORD))
    password.write_bytes(PASSWORD)
    command = ["openssl", "pkey", "-in", path, "-passin", f"file:{password}", "-pubout", "-outform", "DER"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == key.spki()


def test_a_guess_costs_memory_and_time() -> None:
    """scrypt by name, with the parameters that the module argues for: not 2,048 rounds of PBKDF2."""
    pem = SigningKey.generate().to_pem(PASSWORD)
    der = _der(pem)
    assert bytes.fromhex("06092b06010401da47040b") in der
    assert bytes.fromhex("02024000020108020105") in der  # N = 16384, r = 8, p = 5


def test_two_files_of_one_key_have_nothing_in_common() -> None:
    key = SigningKey.generate()
    one, other = (_der(key.to_pem(PASSWORD))[-64:] for _ in range(2))
    assert one != other


@pytest.mark.parametrize("password", [None, b"", b"wrong", PASSWORD + b"\n"])
def test_nothing_else_opens_it(password: bytes | None) -> None:
    pem = SigningKey.generate().to_pem(PASSWORD)
    with pytest.raises(UsageError):
        SigningKey.from_pem(pem, password)


def test_a_file_that_was_cut_off_opens_nowhere() -> None:
    lines = SigningKey.generate().to_pem(PASSWORD).splitlines(keepends=True)
    for drop in range(1, len(lines)):
        with pytest.raises(UsageError):
            SigningKey.from_pem(b"".join(lines[:drop]), PASSWORD)


def test_a_file_may_hold_the_new_key_and_the_old_one() -> None:
    new, old = SigningKey.generate(), SigningKey.generate()
    for password in (None, PASSWORD):
        found = SigningKey.several_from_pem(new.to_pem(password) + old.to_pem(password), password)
        assert [one.spki() for one in found] == [new.spki(), old.spki()]
    with pytest.raises(UsageError):
        SigningKey.several_from_pem(new.to_pem() * 3)
    with pytest.raises(UsageError):
        SigningKey.several_from_pem(b"no key")


def _der(pem: bytes) -> bytes:
    return base64.b64decode(b"".join(pem.splitlines()[1:-1]))
