"""The model key under a key that cannot leave a PKCS#11 token (docs/spec/sealed-slice.md §4.1).

Each model key is wrapped by an AES-256 key object of its own, made on the token: destroying that object makes one model
unreadable, everywhere, and no other.

Rules, and the attack each stops:

1. The wrapping key is born on the token, sensitive, never extractable, not copyable, and may wrap and unwrap only; what
   the token made of these wishes is read back before anything is wrapped. Who steals the slices and the keyring, even
   with a token of the same make and PIN, opens nothing (N07).
2. The blob names token and key object by a random id: `destroy` removes that object and nothing else.
3. The PIN comes from a 0600 file or a variable, is asked for once per use, and is never tried twice: tokens lock
   themselves after a few wrong ones.
4. The module is code that runs in this process with its keys: it is loaded from the absolute path that the operator
   names, and from nowhere else.

What this cannot do: the library hands the model key to us, and takes it and the PIN from us, as Python's own bytes;
those cannot be overwritten and end with the process. Our copy is in locked memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass

from mohawk.crypto import canonical
from mohawk.crypto.primitives import KEY_SIZE, Buffer, random_bytes
from mohawk.errors import ArtifactError, HostError, NotFoundError, UsageError
from mohawk.host.memory import SecretBytes
from mohawk.host.pkcs11_errors import explain
from mohawk.nouns.key_source import TokenSource

_FORMAT = "mohawk-pkcs11-v1"
_FIELDS = ("format", "id", "label", "serial", "token", "wrapped")
_ID_SIZE = 16
_WRAPPED_SIZE = KEY_SIZE + 8
"""RFC 5649: eight bytes of integrity check in front."""
_MAXIMUM_BLOB = 4096
_WRAP = Mechanism.AES_KEY_WRAP_PAD
_LOCKED_IN = {
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.COPYABLE: False,
    Attribute.MODIFIABLE: False,
}
_PROVEN = _LOCKED_IN | {
    Attribute.LOCAL: True,
    Attribute.ALWAYS_SENSITIVE: True,
    Attribute.NEVER_EXTRACTABLE: True,
    Attribute.DECRYPT: False,
}
"""What the token itself must say of the key that it made."""
_NOT_OURS = (
    pkcs11.GeneralError,  # SoftHSM's answer to a wrong integrity check
    pkcs11.WrappedKeyInvalid,
    pkcs11.WrappedKeyLenRange,
    pkcs11.EncryptedDataInvalid,
    pkcs11.EncryptedDataLenRange,
)


@dataclass(frozen=True, slots=True)
class WrappedByToken:
    """What lies in the keyring: the wrapped model key, and which object of which token opens it."""

    token: str
    serial: str
    label: str
    key_id: bytes
    wrapped: bytes

    def __post_init__(self) -> None:
        if len(self.key_id) != _ID_SIZE or len(self.wrapped) != _WRAPPED_SIZE:
            raise ArtifactError("a token's wrapped key of the wrong size")
        if not all(text.isprintable() for text in (self.token, self.serial, self.label)):
            raise ArtifactError("a token's wrapped key whose names cannot be shown")

    def encode(self) -> bytes:
        return canonical.encode(
            {
                "format": _FORMAT,
                "id": self.key_id,
                "label": self.label,
                "serial": self.serial,
                "token": self.token,
                "wrapped": self.wrapped,
            }
        )

    @classmethod
    def parse(cls, blob: bytes) -> WrappedByToken:
        """Raises ArtifactError."""
        fields = canonical.decode(blob, _MAXIMUM_BLOB, _FIELDS)
        fields.require("format", _FORMAT)
        return cls(
            token=fields.text("token"),
            serial=fields.text("serial"),
            label=fields.text("label"),
            key_id=fields.blob("id", _ID_SIZE),
            wrapped=fields.blob("wrapped", _WRAPPED_SIZE),
        )


class TokenKey:
    """Key provider `pkcs11`. `read_pin` is asked at each use."""

    name = "pkcs11"

    def __init__(self, source: TokenSource, read_pin: Callable[[], str]) -> None:
        self._source = source
        self._read_pin = read_pin
        self._turn = threading.Lock()
        """A login belongs to the whole process: a second one beside it fails, and the first logout ends both."""

    @staticmethod
    def describe() -> str:
        return (
            "Protects slices and keyring from whoever lacks this token or its PIN: the wrapping key cannot leave it; "
            "not from whoever controls this host while the token answers it, and a token made of files is files."
        )

    def wrap(self, key: Buffer) -> bytes:
        """A fresh key object on the token, and `key` wrapped by it."""
        key_id = random_bytes(_ID_SIZE)
        label = self._source.label or f"mohawk-{key_id.hex()[:8]}"
        with self._session(writable=True) as session:
            serial = session.token.serial.decode("ascii", "replace")
            wrapping = session.generate_key(
                KeyType.AES,
                8 * KEY_SIZE,
                id=key_id,
                label=label,
                store=True,
                capabilities=MechanismFlag.WRAP | MechanismFlag.UNWRAP,
                template=_LOCKED_IN,
            )
            try:
                _require_locked_in(wrapping)
                return WrappedByToken(self._source.token, serial, label, key_id, _wrap(session, wrapping, key)).encode()
            except BaseException:
                wrapping.destroy()
                raise

    def unwrap(self, blob: bytes) -> SecretBytes:
        parsed = WrappedByToken.parse(blob)
        with self._session(writable=False) as session:
            found = _find(session, parsed.key_id)
            if not found:
                raise NotFoundError(
                    f"token {self._source.token} holds no key object for this keyring",
                    hint=f"it was made as {parsed.label} on token {parsed.token} (serial {parsed.serial}); "
                    "if it was destroyed, nothing opens these slices",
                )
            return _unwrap(found[0], parsed.wrapped)

    def destroy(self, blob: bytes) -> str:
        parsed = WrappedByToken.parse(blob)
        with self._session(writable=True) as session:
            found = _find(session, parsed.key_id)
            serial = session.token.serial.decode("ascii", "replace")
            if not found and (self._source.token, serial) != (parsed.token, parsed.serial):
                raise NotFoundError(
                    f"token {self._source.token} never held this key",
                    hint=f"name the one that does: {parsed.token}, serial {parsed.serial}",
                )
            for item in found:
                item.destroy()
            if _find(session, parsed.key_id):
                raise HostError("the token did not destroy the key object", hint="destroy it with the token's own tool")
        was = "was destroyed" if found else "was gone already"
        return (
            f"Key object {parsed.label} on token {parsed.token} {was}: no copy of this keyring opens any more, "
            "unless the token itself was backed up or cloned."
        )

    @contextmanager
    def _session(self, *, writable: bool) -> Iterator[pkcs11.Session]:
        """Logged in, for one use. Raises HostError, UsageError."""
        with self._turn:
            try:
                with self._find_token().open(rw=writable, user_pin=self._read_pin()) as session:
                    yield session
            except pkcs11.PKCS11Error as error:
                raise explain(error, self._source.token) from None

    def _find_token(self) -> pkcs11.Token:
        source = self._source
        try:
            library = pkcs11.lib(source.module)
        except pkcs11.PKCS11Error:
            hint = "check module-path: it is the token maker's library, such as /usr/lib/softhsm/libsofthsm2.so"
            raise HostError(f"no PKCS#11 module could be loaded from {source.module}", hint=hint) from None
        wanted = {"token_serial": source.serial.encode("ascii")} if source.serial else {}
        found = [
            token
            for token in library.get_tokens(token_label=source.token, **wanted)
            if source.model in ("", token.model) and source.manufacturer in ("", token.manufacturer_id)
        ]
        if not found:
            raise HostError(
                f"no token {source.token} is there", hint="is it plugged in? `p11tool --list-tokens` shows what is"
            )
        if len(found) > 1:
            raise UsageError(f"several tokens are called {source.token}", hint="say which: add ;serial=… to the URI")
        return found[0]


def _wrap(session: pkcs11.Session, wrapping: pkcs11.SecretKey, key: Buffer) -> bytes:
    target = session.create_object(
        {
            Attribute.CLASS: ObjectClass.SECRET_KEY,
            Attribute.KEY_TYPE: KeyType.GENERIC_SECRET,
            Attribute.VALUE: key,
            Attribute.TOKEN: False,
            Attribute.PRIVATE: True,
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: True,
        }
    )
    try:
        return bytes(wrapping.wrap_key(target, mechanism=_WRAP))
    finally:
        target.destroy()


def _unwrap(wrapping: pkcs11.SecretKey, wrapped: bytes) -> SecretBytes:
    try:
        target = wrapping.unwrap_key(
            ObjectClass.SECRET_KEY,
            KeyType.GENERIC_SECRET,
            wrapped,
            mechanism=_WRAP,
            store=False,
            capabilities=0,
            template={Attribute.PRIVATE: True, Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True},
        )
    except _NOT_OURS:
        raise ArtifactError("a wrapped model key that its token refuses", hint="the keyring was altered") from None
    try:
        value = target[Attribute.VALUE]
        if len(value) != KEY_SIZE:
            raise ArtifactError("a wrapped model key of the wrong size")
        return SecretBytes.copy_of(value)
    finally:
        target.destroy()


def _find(session: pkcs11.Session, key_id: bytes) -> list[pkcs11.SecretKey]:
    """The key object, and copies of it, should the token have let somebody make one."""
    return list(session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.ID: key_id}))


def _require_locked_in(wrapping: pkcs11.SecretKey) -> None:
    if any(wrapping[attribute] is not wanted for attribute, wanted in _PROVEN.items()):
        raise HostError("this token does not keep a key from leaving it", hint="use a token that does")
