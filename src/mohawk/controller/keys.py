"""Key release: the one place where a data key leaves the controller, sealed to one worker, for one slice, on one
connection.

Rules, and the attack each stops:
- Only the slice that the plan gives this worker: a worker cannot ask for another's (Z02).
- Only with an approval of its machine, for this very key and this hour (T10, T16): who holds the keys and who judged
  the evidence look at one enrolment (T12).
- Sealed to the key that the worker made for this load, bound to the connection (contract/grant.py): a grant that is
  recorded, replayed or redirected opens nothing.
- Signed with the key of the certificate that this connection showed: HPKE alone does not say who sealed.
- The model key is in memory while stages load and no longer; a data key while it is sealed. Both locked, both
  overwritten (S18).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mohawk.artifact.keyring import Keyring
from mohawk.artifact.sealed_slice import SealedSlice
from mohawk.attestation.appraisal import Approval
from mohawk.channel.tls import SessionInfo
from mohawk.contract.evidence import manifest_digest
from mohawk.contract.grant import grant_context, signed_grant
from mohawk.contract.messages import KeyGrant, KeyRequest
from mohawk.controller.attestation import Attestation
from mohawk.crypto.primitives import KEY_SIZE
from mohawk.crypto.seal import seal_to
from mohawk.errors import PolicyError
from mohawk.host.memory import SecretBytes
from mohawk.transport.link import Link


@dataclass(frozen=True, slots=True)
class KeyRelease:
    """Everything that opening a data key takes. `manifest` is the envelope that the worker was sent.

    It ends with its model key: once whoever opened that has released it, nothing is granted any more.
    """

    keyring: Keyring
    model_key: SecretBytes
    manifest: bytes = field(repr=False)
    attestation: Attestation = field(repr=False)

    async def approve(self, link: Link, request: KeyRequest) -> Approval:
        """What the worker on `link` shows of its machine, judged. Raises like `Attestation.approve`."""
        return await self.attestation.approve(link, request.public_key, manifest_digest(self.manifest))

    def grant(self, request: KeyRequest, session: SessionInfo, assigned: SealedSlice, approval: Approval) -> KeyGrant:
        """The data key of `assigned`, sealed to the worker on the other end of `session`, and to that connection.

        Raises PolicyError when the worker asks for a slice that is not its own, AttestationRefusedError when the
        approval is not for this.
        """
        self.attestation.check(approval, session.peer.name, request.public_key)
        worker, binding = str(session.peer.name), session.exporter(b"", 32)
        if request.slice_digest != assigned.digest:
            raise PolicyError(f"{worker} asked for the key of a slice that the plan does not give it")
        context = grant_context(worker=worker, manifest=self.manifest, slice_digest=assigned.digest, binding=binding)
        with SecretBytes(KEY_SIZE) as data_key:
            self.keyring.unwrap_into(self.model_key.view, assigned.context, data_key.view)
            sealed = seal_to(request.public_key, data_key.view, context)
        return KeyGrant(sealed, session.sign(signed_grant(context, request.public_key, sealed)))
