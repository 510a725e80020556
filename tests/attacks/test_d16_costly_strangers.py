"""D16: a stranger asks to join with tokens that nobody issued, as fast as it can, at an authority with many nodes: each
question that it asks has the controller read a book of thousands of names, between two steps of those it serves.

Expected: all are refused; the book is read once, and again only when it changed.

Defence: host/parsed_file.py:ParsedFile.read; removed, ten requests a second, of nobody, stop all serving.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mohawk.contract.joining import REFUSAL, JoinRequest, encode_join_request
from mohawk.crypto.certificate_request import make_request
from mohawk.crypto.signing import SigningKey
from mohawk.host import join_book, parsed_file
from mohawk.host.join_book import JoinBook, JoinedNode
from mohawk.identity.names import NodeName, Role
from tests.support.joining import JoinSite, request_for
from tests.support.tls import utc_now

NODES, QUESTIONS = 20, 300


def exporter(_context: bytes, size: int) -> bytes:
    return bytes(size)


def test_the_book_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = JoinSite(tmp_path / "pki", port=8002)
    for number in range(NODES):
        JoinBook(site.authority).joined(
            JoinedNode(NodeName("mesh.example", Role.WORKER, f"w{number}"), utc_now(), "", "1")
        )
    token, desk, read = site.token("fresh"), site.desk(), []
    real = join_book._parse_node

    def parse(*arguments: object) -> JoinedNode:
        read.append(arguments)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(join_book, "_parse_node", parse)
    monkeypatch.setattr(parsed_file, "_SETTLED_NANOSECONDS", 0)  # it was written a tenth of a second ago
    request = make_request(SigningKey.generate())
    for number in range(QUESTIONS):
        asked = encode_join_request(JoinRequest(number.to_bytes(16, "big"), request, bytes(48)))
        assert desk.answer(asked, exporter, "10.0.0.9") == REFUSAL
    assert len(read) == NODES
    later = site.token("later")  # the operator's command changed the file
    for issued in (token, later):
        assert desk.answer(request_for(issued, exporter), exporter, "10.0.0.7") != REFUSAL
    assert site.names == ["fresh", "later"]
