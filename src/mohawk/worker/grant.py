"""Accepting a data key: the controller's signature first, then the seal. Nothing else opens a slice."""

from __future__ import annotations

from mohawk.contract.grant import grant_context, signed_grant
from mohawk.contract.messages import KeyGrant, KeyRequest
from mohawk.crypto.primitives import KEY_SIZE
from mohawk.crypto.seal import RecipientKey
from mohawk.crypto.signing import verify
from mohawk.errors import MessageError
from mohawk.host.memory import SecretBytes


class KeyExchange:
    """One load's exchange: a fresh recipient key, bound to this worker, manifest, slice and connection.

    Used once: the object is dropped after `open`, and with it the only key that the grant was sealed to.
    """

    def __init__(self, *, worker: str, manifest: bytes, slice_digest: str, binding: bytes) -> None:
        self._context = grant_context(worker=worker, manifest=manifest, slice_digest=slice_digest, binding=binding)
        self._recipient = RecipientKey.generate()
        self.request = KeyRequest(slice_digest, self._recipient.public_bytes())

    def open(self, grant: KeyGrant, controller_spki: bytes) -> SecretBytes:
        """The data key (32 bytes). `controller_spki`: the public key of the certificate that this connection showed.

        HPKE hands it out as bytes, which Python cannot overwrite; they are dropped here, and end with the process.

        Raises RemoteError: not signed by that controller, or sealed for another worker, slice, manifest or connection.
        """
        verify(controller_spki, grant.signature, signed_grant(self._context, self.request.public_key, grant.sealed_key))
        data_key = self._recipient.open(grant.sealed_key, self._context)
        if len(data_key) != KEY_SIZE:
            raise MessageError("a data key of the wrong size")
        return SecretBytes.copy_of(data_key)
