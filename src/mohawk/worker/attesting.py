"""This worker answering for its machine: evidence for the controller's challenges, and enrolment of its TPM
(docs/spec/attestation.md 2 to 4).

Rules, and the attack each stops:
- What is held is spoken for until another key has come: an order whose key is refused changes nothing.
- Name, connection, recipient key and manifest of a challenge are our own, never the controller's words: nobody can have
  this TPM vouch for another's key or connection (T10, T11).
- The TPM is asked in a thread: a slow chip must not stop the heartbeats.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from mohawk.attestation.challenge import Challenge
from mohawk.attestation.enrolment import TpmIdentity, activation_proof
from mohawk.attestation.evidence import BANKS, Evidence, SoftwareEvidence
from mohawk.channel.tls import SessionInfo
from mohawk.contract.attesting import PCR_COUNT, AttestOrder, AttestReply, CredentialOffer, CredentialProof, TpmKeys
from mohawk.contract.evidence import EXPORTER_CONTEXT, EXPORTER_SIZE, SOFTWARE, manifest_digest
from mohawk.crypto.primitives import sha256
from mohawk.crypto.tpm_primitives import Credential
from mohawk.errors import MessageError, UnavailableError
from mohawk.host.attester import Attester

log = logging.getLogger(__name__)


class MachineWitness:
    """`attester` None: this machine has no TPM that we may ask. Used from the event loop."""

    def __init__(self, attester: Attester | None) -> None:
        self._attester = attester
        self._shown: TpmIdentity | None = None
        self._asked: tuple[bytes, bytes] | None = None
        self._held: tuple[bytes, bytes] | None = None
        self._shown_for_asked = SOFTWARE
        self.evidence = SOFTWARE
        """Digest of what was shown for the key that is held now; tickets are bound to it."""

    def bind(self, public_key: bytes, manifest: bytes) -> None:
        """A key was asked for, sealed to this HPKE key: that is what quotes for its release speak for."""
        self._asked = sha256(public_key), manifest_digest(manifest)
        self._shown_for_asked = SOFTWARE

    def hold(self) -> None:
        """The key has come: that is what all quotes speak for from now on."""
        self._held, self.evidence = self._asked, self._shown_for_asked

    async def answer(self, order: AttestOrder, session: SessionInfo, *, is_for_key: bool) -> AttestReply:
        """Evidence now. `is_for_key`: the key is not released yet, and this is what it will be released for.

        Raises MessageError (nothing was asked for that it could speak of), HostError (the TPM).
        """
        bound = self._asked if is_for_key else self._held
        if bound is None:
            raise MessageError("a challenge before a key was asked for")
        evidence = await self._quote(order, session, bound)
        if is_for_key:
            self._shown_for_asked = evidence.digest()
        return AttestReply(evidence.encode())

    async def keys(self) -> TpmKeys:
        """Raises UnavailableError (no TPM here), HostError."""
        if self._attester is None:
            raise UnavailableError("this worker was started without a TPM", hint="mohawk worker run --tpm /dev/tpmrm0")
        self._shown = await asyncio.to_thread(self._attester.identity)
        return TpmKeys(self._shown.encode())

    async def prove(self, offer: CredentialOffer, session: SessionInfo) -> CredentialProof:
        """Raises MessageError (keys were not shown before), HostError (the TPM does not unwrap it)."""
        if self._attester is None or self._shown is None:
            raise MessageError("a credential before keys were shown")
        credential = Credential(offer.id_object, offer.encrypted_seed)
        secret = await asyncio.to_thread(self._attester.activate, credential)
        exporter = session.exporter(EXPORTER_CONTEXT, EXPORTER_SIZE)
        return CredentialProof(activation_proof(secret, session.own_name, exporter, self._shown))

    async def _quote(self, order: AttestOrder, session: SessionInfo, bound: tuple[bytes, bytes]) -> Evidence:
        if self._attester is None:
            return SoftwareEvidence()
        recipient, manifest = bound
        exporter = session.exporter(EXPORTER_CONTEXT, EXPORTER_SIZE)
        challenge = Challenge(order.nonce, recipient, session.own_name, exporter, manifest, datetime.now(UTC))
        pcrs = frozenset(index for index in range(PCR_COUNT) if order.pcrs >> index & 1)
        return await asyncio.to_thread(self._attester.quote, challenge.qualifying_data(), BANKS[order.bank], pcrs)
