"""OpenSSL's verdicts on a chain, in our words."""

from __future__ import annotations

from mohawk.identity.names import IdentityRefusedError, Reason

SELF_SIGNED_ROOT = 19
"""X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: the chain ends in a root, and that root is not among those we trust."""

_OPENSSL_REASONS = {
    9: (Reason.NOT_YET_VALID, "a certificate that is not valid yet"),
    10: (Reason.EXPIRED, "a certificate that has expired"),
    7: (Reason.BROKEN_CHAIN, "a certificate that its alleged issuer did not sign"),
    18: (Reason.UNTRUSTED_ROOT, "a self-signed certificate"),
    19: (Reason.UNTRUSTED_ROOT, "a chain that ends in a root we do not pin"),
    20: (Reason.UNTRUSTED_ROOT, "a chain that ends in a root we do not pin"),
    21: (Reason.UNTRUSTED_ROOT, "a chain that ends in a root we do not pin"),
    24: (Reason.AUTHORITY, "a certificate signed by one that is no authority"),
    25: (Reason.AUTHORITY, "an authority below one that may have none"),
    26: (Reason.EXTENDED_KEY_USAGE, "a certificate that is not for this end of a connection"),
    79: (Reason.AUTHORITY, "a certificate signed by one that is no authority"),
}
"""X509_V_ERR_* (openssl/x509_vfy.h) to our reasons; any other is BROKEN_CHAIN."""


def openssl_refusal(verdict: int) -> IdentityRefusedError:
    """What `verdict`, an X509_V_ERR_* number, says of a peer."""
    reason, message = _OPENSSL_REASONS.get(verdict, (Reason.BROKEN_CHAIN, "a chain that does not verify"))
    return IdentityRefusedError(reason, message)
