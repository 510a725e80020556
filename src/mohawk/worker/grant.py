"""Accepting a stage's data keys: the controller's signature first, then the seal. Nothing else opens a slice."""

from __future__ import annotations

from mohawk.contract.grant import grant_context, signed_grant
from mohawk.contract.messages import KeyGrant, KeyRequest
from mohawk.crypto.primitives import KEY_SIZE
from mohawk.crypto.seal import RecipientKey
from mohawk.crypto.signing import verify
from mohawk.errors import MessageError
from mohawk.host.memory import SecretBytes


class KeyExchange:
    """One load's exchange: a fresh recipient key, bound to this worker, manifest, slices and connection.

    Used once: the object is dropped after `open`, and with it the only key that the grant was sealed to.
    """

    def __init__(self, *, worker: str, manifest: bytes, slice_digests: tuple[str, ...], binding: bytes) -> None:
        self._context = grant_context(worker=worker, manifest=manifest, slice_digests=slice_digests, binding=binding)
        self._recipient = RecipientKey.generate()
        self.request = KeyRequest(slice_digests, self._recipient.public_bytes())

    def open(self, grant: KeyGrant, controller_spki: bytes) -> SecretBytes:
        """The data keys, 32 bytes each, joined in the order of the slices. `controller_spki`: the public key of the
        certificate that this connection showed.

        HPKE hands them out as bytes, which Python cannot overwrite; they are dropped here, and end with the process.

        Raises RemoteError: not signed by that controller, or sealed for another worker, manifest or connection, or for
        other slices.
        """
        signed = signed_grant(self._context, self.request.public_key, grant.sealed_keys)
        verify(controller_spki, grant.signature, signed)
        data_keys = self._recipient.open(grant.sealed_keys, self._context)
        if len(data_keys) != KEY_SIZE * len(self.request.slice_digests):
            raise MessageError("data keys of the wrong size")
        return SecretBytes.copy_of(data_keys)
