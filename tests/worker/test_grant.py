"""A data key opens for one worker, one slice, one manifest, one connection, one load; and only from its controller."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from mohawk.artifact.keyring import Keyring, wrap_data_key
from mohawk.artifact.sealed_slice import Run
from mohawk.attestation.appraisal import Approval
from mohawk.audit.events import AuditEvent, EventKind
from mohawk.channel.tls import SessionInfo
from mohawk.contract.grant import grant_context, signed_grant
from mohawk.contract.messages import KeyGrant, KeyRequest
from mohawk.controller.keys import KeyRelease
from mohawk.crypto.seal import seal_to
from mohawk.crypto.signing import SigningKey
from mohawk.errors import PolicyError, RemoteError, UsageError
from mohawk.host.memory import SecretBytes
from mohawk.identity.names import NodeName
from mohawk.worker.grant import KeyExchange
from tests.support.approvals import AnyMachine, approve
from tests.support.audit import Heard
from tests.support.slices import DATA_KEY, make_manifest
from tests.support.tickets import make_session

MODEL_KEY = b"m" * 32
WORKER = "spiffe://mesh.example/worker/w1"
MANIFEST = b"an envelope"
BINDING = b"b" * 32
SECOND_KEY = b"s" * 32
SIGNER = SigningKey.generate()
FIRST, SECOND = make_manifest().slices


def release(manifest: bytes = MANIFEST) -> KeyRelease:
    pairs = ((FIRST, DATA_KEY), (SECOND, SECOND_KEY))
    wrapped = tuple(wrap_data_key(MODEL_KEY, key, part.context, bytes(32)) for part, key in pairs)
    return KeyRelease(
        Keyring("key-file", b"wrapped", wrapped), SecretBytes.copy_of(MODEL_KEY), manifest, AnyMachine(), Heard().record
    )


def exchange(
    *, worker: str = WORKER, manifest: bytes = MANIFEST, run: Run = (FIRST,), binding: bytes = BINDING
) -> KeyExchange:
    return KeyExchange(worker=worker, manifest=manifest, slice_digests=digests(run), binding=binding)


def digests(run: Run) -> tuple[str, ...]:
    return tuple(part.digest for part in run)


def grant(to: KeyExchange, signer: SigningKey = SIGNER, run: Run = (FIRST,)) -> KeyGrant:
    return release().grant(to.request, connection(signer), run, approval(to))


def approval(to: KeyExchange) -> Approval:
    return approve(NodeName.parse(WORKER), to.request.public_key)


def connection(signer: SigningKey = SIGNER) -> SessionInfo:
    """The controller's end of one to WORKER."""
    return make_session(WORKER, exporter=lambda _context, _length: BINDING, sign=signer.sign)


def test_the_key_arrives():
    asking = exchange()
    assert asking.open(grant(asking), SIGNER.spki()).view == DATA_KEY


def test_the_keys_of_a_run_arrive_in_the_order_of_its_slices():
    asking = exchange(run=(FIRST, SECOND))
    assert asking.open(grant(asking, run=(FIRST, SECOND)), SIGNER.spki()).view == DATA_KEY + SECOND_KEY


@pytest.mark.parametrize(
    "other",
    [
        {"worker": "spiffe://mesh.example/worker/w2"},
        {"manifest": b"another envelope"},
        {"run": (SECOND,)},
        {"run": (FIRST, SECOND)},
        {"binding": b"c" * 32},
    ],
    ids=["worker", "manifest", "slice", "longer run", "connection"],
)
def test_a_grant_bound_to_something_else_does_not_open(other: dict[str, object]):
    asking = exchange(**other)  # type: ignore[arg-type]
    request = exchange()
    request.request = KeyRequest((FIRST.digest,), asking.request.public_key)
    with pytest.raises(RemoteError):
        asking.open(grant(request), SIGNER.spki())


def test_a_grant_of_an_earlier_load_does_not_open_a_later_one():
    recorded = grant(exchange())
    with pytest.raises(RemoteError):
        exchange().open(recorded, SIGNER.spki())


def test_a_grant_signed_by_anyone_but_this_connection_s_controller():
    """HPKE alone does not say who sealed: without the signature anybody could hand a worker a key of their own."""
    asking = exchange()
    with pytest.raises(RemoteError):
        asking.open(grant(asking, SigningKey.generate()), SIGNER.spki())


def test_a_signature_over_another_sealed_key():
    asking = exchange()
    one, other = grant(asking), grant(asking)
    with pytest.raises(RemoteError):
        asking.open(KeyGrant(one.sealed_keys, other.signature), SIGNER.spki())


@pytest.mark.parametrize(
    ("asked", "assigned"),
    [
        ((SECOND,), (FIRST,)),
        ((FIRST, SECOND), (FIRST,)),
        ((FIRST,), (FIRST, SECOND)),
        ((SECOND, FIRST), (FIRST, SECOND)),
    ],
    ids=["another", "one more", "one less", "another order"],
)
def test_the_keys_of_another_s_slices_are_not_granted(asked: Run, assigned: Run):
    """Z02: what a worker may have is what the plan gives it, no more and no less."""
    asking = exchange(run=asked)
    with pytest.raises(PolicyError):
        grant(asking, run=assigned)


def test_a_key_that_is_no_key():
    asking = exchange()
    request = KeyRequest((FIRST.digest,), bytes(1216))
    with pytest.raises(RemoteError):
        release().grant(request, connection(), (FIRST,), approval(asking))


def test_data_keys_of_another_size_are_refused():
    asking = exchange()
    context = grant_context(worker=WORKER, manifest=MANIFEST, slice_digests=digests((FIRST,)), binding=BINDING)
    for short in (b"", bytes(31), bytes(33), bytes(64)):
        sealed = seal_to(asking.request.public_key, short, context)
        signature = SIGNER.sign(signed_grant(context, asking.request.public_key, sealed))
        with pytest.raises(RemoteError):
            asking.open(KeyGrant(sealed, signature), SIGNER.spki())


def test_nothing_is_granted_once_the_model_key_was_released():
    keys, asking = release(), exchange()
    keys.model_key.release()
    with pytest.raises(UsageError):
        keys.grant(asking.request, connection(), (FIRST,), approval(asking))


def test_what_is_released_and_what_is_refused_is_on_record():
    """By names and digests; no key, not even a wrapped one."""
    heard, asking, other = Heard(), exchange(), exchange(run=(SECOND,))
    keys = replace(release(), record=heard.record)
    permission = approval(asking)
    keys.grant(asking.request, connection(), (FIRST,), permission)
    with pytest.raises(PolicyError):
        keys.grant(other.request, connection(), (FIRST,), approval(other))
    recipient = hashlib.sha256(asking.request.public_key).hexdigest()
    released = {"run": FIRST.slice_id, "manifest": hashlib.sha256(MANIFEST).hexdigest(), "recipient": recipient}
    released |= {"class": "software", "evidence": permission.evidence.hex()}
    assert heard.events == [
        AuditEvent(EventKind.KEY_RELEASED, WORKER, released),
        AuditEvent(EventKind.KEY_REFUSED, WORKER, {"run": FIRST.slice_id, "reason": "refused_by_policy"}),
    ]


def test_secrets_do_not_show():
    assert repr(MODEL_KEY) not in repr(release())
