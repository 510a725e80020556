"""Protects files from half-written content, careless modes and links."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mohawk.errors import HostError, MohawkError
from mohawk.host.files import (
    erase_file,
    open_regular,
    read_file,
    replace_file,
    require_free_space,
    write_at,
    write_file,
)
from tests.support.slices import names

if TYPE_CHECKING:
    from pathlib import Path


def test_write_and_read(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    for data in (b"first", b"", b"third" * 1000):
        write_file(path, data)
        assert read_file(path, 5000, private=True) == data
    assert path.stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["secret"]


def test_an_error_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, b"old")

    def fail_halfway() -> None:
        with replace_file(path) as descriptor:
            write_at(descriptor, b"new", 0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_leftovers_of_a_killed_writer_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".file.0123456789abcdef.partial").write_bytes(b"half")
    (tmp_path / ".other.0123456789abcdef.partial").write_bytes(b"someone else's")
    write_file(tmp_path / "file", b"new")
    assert names(tmp_path) == [".other.0123456789abcdef.partial", "file"]


def test_a_symlink_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"precious")
    (tmp_path / "file").symlink_to("target")
    write_file(tmp_path / "file", b"new")
    assert (tmp_path / "target").read_bytes() == b"precious"
    assert (tmp_path / "file").read_bytes() == b"new"


def test_limits(tmp_path: Path) -> None:
    write_file(tmp_path / "file", bytes(11))
    with pytest.raises(HostError, match="limit"):
        read_file(tmp_path / "file", 10)
    assert read_file(tmp_path / "file", 11) == bytes(11)


def test_errors_are_typed_and_name_no_path(tmp_path: Path) -> None:
    with pytest.raises(MohawkError) as caught, open_regular(tmp_path / "absent-file"):
        pass
    assert "absent-file" not in str(caught.value)
    with pytest.raises(MohawkError):
        write_file(tmp_path / "no folder" / "file", b"")
    with pytest.raises(MohawkError):
        read_file(tmp_path, 10)


def test_free_space(tmp_path: Path) -> None:
    require_free_space(tmp_path, 1)
    with pytest.raises(HostError, match="space"):
        require_free_space(tmp_path, 1 << 60)


def test_erasing_overwrites_before_it_removes(tmp_path: Path) -> None:
    """Seen through a descriptor that was open before: the file itself holds zeros, not only its name is gone."""
    path = tmp_path / "keyring"
    write_file(path, b"secret" * 1000)
    with path.open("rb") as seen:
        erase_file(path)
        assert seen.read() == bytes(6000)
    assert names(tmp_path) == []
    with pytest.raises(HostError):
        erase_file(path)


def test_erasing_follows_no_link(tmp_path: Path) -> None:
    write_file(tmp_path / "other", b"kept")
    (tmp_path / "link").symlink_to(tmp_path / "other")
    with pytest.raises(HostError):
        erase_file(tmp_path / "link")
    assert (tmp_path / "other").read_bytes() == b"kept"
