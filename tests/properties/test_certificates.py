"""Whatever bytes arrive as a certificate, a chain, a name or an identity bundle: parsed, or an IdentityError."""

from __future__ import annotations

import contextlib
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from mohawk.crypto import x509
from mohawk.errors import IdentityError
from mohawk.identity.certificates import check_peer
from mohawk.identity.credentials import encode, parse
from mohawk.identity.names import NodeName
from tests.support.tls import Mesh, utc_now


@cache
def mesh() -> Mesh:
    return Mesh()


@cache
def chain() -> tuple[bytes, bytes, bytes]:
    credentials = mesh().credentials()
    leaf, issuing = credentials.chain
    return leaf.der, issuing.der, mesh().root.certificate.der


@cache
def bundle() -> bytes:
    return encode(mesh().credentials())


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_changed_certificate_never_passes(which: int, changes: list[tuple[int, int]]) -> None:
    data = [bytearray(one) for one in chain()]
    for position, value in changes:
        data[which][position % len(data[which])] = value
    if bytes(data[which]) == chain()[which]:
        return
    root_key_is_pinned = which == 2  # the root's own signature is not asked: its key is pinned
    try:
        facts = [x509.parse_der(bytes(one)) for one in data]
        check_peer(facts, utc_now(), frozenset({mesh().root.certificate.pin}), mesh().domain)
    except IdentityError:
        return
    assert root_key_is_pinned


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_a_certificate_or_an_identity_error(data: bytes) -> None:
    for parser in (x509.parse_der, x509.parse_pem):
        with contextlib.suppress(IdentityError):
            parser(data)


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=80) | st.from_regex(r"spiffe://[a-z.]{0,9}/(worker|controller|x)/[a-z0-9-]{0,9}", fullmatch=True)
)
def test_a_text_is_the_only_spelling_of_its_name_or_refused(text: str) -> None:
    with contextlib.suppress(IdentityError):
        assert str(NodeName.parse(text)) == text


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.binary(max_size=3))
def test_a_changed_bundle_is_parsed_or_refused(position: int, patch: bytes) -> None:
    data = bytearray(bundle())
    position %= len(data)
    data[position : position + len(patch)] = patch
    with contextlib.suppress(IdentityError):
        parse(bytes(data))
