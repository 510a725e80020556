"""Key release: the one place where data keys leave the controller, sealed to one worker, for the slices of one stage,
on one connection.

Rules, and the attack each stops:
- Only the slices that the plan gives this worker, all of them: a worker cannot ask for another's (Z02).
- Only with an approval of its machine, for this very key and this hour (T10, T16): who holds the keys and who judged
  the evidence look at one enrolment (T12).
- Sealed to the key that the worker made for this load, bound to the connection (contract/grant.py): a grant that is
  recorded, replayed or redirected opens nothing.
- On record before it leaves: a grant that cannot be written into the audit log is not sent (N04).
- Signed with the key of the certificate that this connection showed: HPKE alone does not say who sealed.
- The model key is in memory while stages load and no longer; data keys while they are sealed. Both locked, both
  overwritten (S18).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mohawk.artifact.keyring import Keyring
from mohawk.artifact.sealed_slice import Run, run_layers
from mohawk.attestation.appraisal import Approval
from mohawk.audit.events import AuditEvent, EventKind, RecordEvent
from mohawk.channel.tls import SessionInfo
from mohawk.contract.evidence import manifest_digest
from mohawk.contract.grant import grant_context, signed_grant
from mohawk.contract.messages import KeyGrant, KeyRequest
from mohawk.controller.attestation import Attestation, reasons_of
from mohawk.crypto.primitives import KEY_SIZE, sha256
from mohawk.crypto.seal import seal_to
from mohawk.errors import PolicyError
from mohawk.host.memory import SecretBytes
from mohawk.transport.link import Link


@dataclass(frozen=True, slots=True)
class KeyRelease:
    """Everything that opening a data key takes. `manifest` is the envelope that the worker was sent; `record` writes
    the audit log.

    It ends with its model key: once whoever opened that has released it, nothing is granted any more.
    """

    keyring: Keyring
    model_key: SecretBytes
    manifest: bytes = field(repr=False)
    attestation: Attestation = field(repr=False)
    record: RecordEvent

    async def approve(self, link: Link, request: KeyRequest) -> Approval:
        """What the worker on `link` shows of its machine, judged. Raises like `Attestation.approve`."""
        return await self.attestation.approve(link, request.public_key, manifest_digest(self.manifest))

    def grant(self, request: KeyRequest, session: SessionInfo, assigned: Run, approval: Approval) -> KeyGrant:
        """The data keys of `assigned`, sealed to the worker on the other end of `session`, and to that connection.

        Raises PolicyError when the worker asks for slices that are not its own, AttestationRefusedError when the
        approval is not for this, HostError when the audit log cannot be written.
        """
        worker, binding = str(session.peer.name), session.exporter(b"", 32)
        try:
            self._judge(request, session, assigned, approval)
        except PolicyError as error:
            refusal = {"run": run_layers(assigned).slice_id, "reason": reasons_of(error)[:128]}
            self.record(AuditEvent(EventKind.KEY_REFUSED, worker, refusal))
            raise
        digests = tuple(part.digest for part in assigned)
        context = grant_context(worker=worker, manifest=self.manifest, slice_digests=digests, binding=binding)
        with SecretBytes(KEY_SIZE * len(assigned)) as data_keys:
            for number, part in enumerate(assigned):
                place = data_keys.view[number * KEY_SIZE : (number + 1) * KEY_SIZE]
                self.keyring.unwrap_into(self.model_key.view, part.context, place)
            sealed = seal_to(request.public_key, data_keys.view, context)
        signature = session.sign(signed_grant(context, request.public_key, sealed))
        self.record(AuditEvent(EventKind.KEY_RELEASED, worker, self._describe(request, assigned, approval)))
        return KeyGrant(sealed, signature)

    def _judge(self, request: KeyRequest, session: SessionInfo, assigned: Run, approval: Approval) -> None:
        """Raises PolicyError, AttestationRefusedError among them."""
        self.attestation.check(approval, session.peer.name, request.public_key)
        if request.slice_digests != tuple(part.digest for part in assigned):
            raise PolicyError(f"{session.peer.name} asked for the keys of slices that the plan does not give it")

    def _describe(self, request: KeyRequest, assigned: Run, approval: Approval) -> dict[str, str]:
        """Manifest and run say which data keys these were, each by its id."""
        return {
            "run": run_layers(assigned).slice_id,
            "manifest": manifest_digest(self.manifest).hex(),
            "recipient": sha256(request.public_key).hex(),
            "class": approval.evidence_class.word,
            "evidence": approval.evidence.hex(),
        }
