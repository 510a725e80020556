"""Secrets through a pipe, and the pipe's end as the parent's end."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from mohawk.errors import HostError
from mohawk.host.lifeline import read_secrets, write_secrets


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    theirs, ours = os.pipe()
    yield theirs, ours
    for descriptor in (theirs, ours):
        try:
            os.close(descriptor)
        except OSError:
            pass


def test_parts_arrive_as_they_were_and_the_pipe_stays_open(pipe: tuple[int, int]):
    theirs, ours = pipe
    write_secrets(ours, b"one", b"", b"\0" * 5000)
    assert read_secrets(theirs) == (b"one", b"", b"\0" * 5000)
    os.set_blocking(theirs, False)
    with pytest.raises(BlockingIOError):
        os.read(theirs, 1)
    os.close(ours)
    assert os.read(theirs, 1) == b"", "the end that a child waits for"


@pytest.mark.parametrize(
    "said", [b"", b"\0\0", b"\0\0\0\1", b"\0\0\0\1\0\0\0\5abc", b"\0\0\0\x11", b"\0\0\0\1\xff\xff\xff\xff", b"garbage!"]
)
def test_a_pipe_with_something_else_in_it(pipe: tuple[int, int], said: bytes):
    theirs, ours = pipe
    os.write(ours, said)
    os.close(ours)
    with pytest.raises(HostError):
        read_secrets(theirs)


def test_a_child_that_is_gone(pipe: tuple[int, int]):
    theirs, ours = pipe
    os.close(theirs)
    with pytest.raises(HostError):
        write_secrets(ours, b"secret")
