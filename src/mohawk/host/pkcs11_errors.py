"""What a PKCS#11 token's refusals mean to an operator, and what to do next."""

from __future__ import annotations

import pkcs11

from mohawk.errors import HostError, MohawkError, UsageError


def explain(error: pkcs11.PKCS11Error, token: str) -> MohawkError:
    """What went wrong, in our words. Whatever has no words of its own is named by the library's name for it."""
    for kinds, fault, what, hint in _EXPLANATIONS:
        if isinstance(error, kinds):
            return fault(f"token {token} {what}", hint=hint)
    return HostError(f"token {token} failed: {type(error).__name__}", hint="see the token's own tool and log")


_EXPLANATIONS: tuple[tuple[tuple[type[Exception], ...], type[MohawkError], str, str], ...] = (
    (
        (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange),
        UsageError,
        "refused the PIN",
        "do not try again and again: after a few wrong PINs a token locks itself",
    ),
    (
        (pkcs11.PinLocked,),
        UsageError,
        "has locked its PIN after too many wrong ones",
        "its security officer must set a new PIN; the keys on it are not lost",
    ),
    (
        (pkcs11.PinExpired, pkcs11.UserPinNotInitialized),
        UsageError,
        "wants a new PIN first",
        "set one with the token's own tool",
    ),
    (
        (pkcs11.TokenNotPresent, pkcs11.DeviceRemoved),
        HostError,
        "was removed",
        "plug it in and start again",
    ),
    (
        (pkcs11.TokenWriteProtected, pkcs11.DeviceMemory),
        HostError,
        "takes no more keys",
        "make room on it, or lift its write protection",
    ),
    (
        (
            pkcs11.MechanismInvalid,
            pkcs11.AttributeTypeInvalid,
            pkcs11.AttributeValueInvalid,
            pkcs11.TemplateInconsistent,
        ),
        HostError,
        "cannot make such a key",
        "it must offer AES-256 keys that never leave it, cannot be copied, and wrap by AES_KEY_WRAP_PAD",
    ),
)
