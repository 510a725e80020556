"""Protects what stands between a TPM's word and our belief: derivations as specified, signatures that verify or raise.

That a TPM opens our credentials and salted sessions is shown in tests/host/test_tpm.py and test_tpm_tools.py.
"""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode

from mohawk.crypto import tpm_primitives
from mohawk.crypto.tpm_primitives import (
    EccPublic,
    RsaPublic,
    Scheme,
    TpmCurve,
    TpmHash,
    TpmPublicKey,
    TpmSignature,
    decrypt_cfb,
    derive_tpm,
    encrypt_cfb,
    encrypt_seed,
    make_credential,
    parameter_key,
    require_strong,
    verify_signature,
)
from mohawk.errors import RemoteError

MESSAGE = b"what a TPM says"
RSA = rsa.generate_private_key(65537, 2048)
LIBRARY = {TpmHash.SHA256: hashes.SHA256(), TpmHash.SHA384: hashes.SHA384()}
CURVES = {TpmCurve.P256: ec.SECP256R1(), TpmCurve.P384: ec.SECP384R1()}


def rsa_public(key: rsa.RSAPrivateKey) -> RsaPublic:
    numbers = key.public_key().public_numbers()
    return RsaPublic(numbers.n, numbers.e)


def ecdsa(curve: TpmCurve, digest: TpmHash) -> tuple[TpmPublicKey, TpmSignature]:
    key = ec.generate_private_key(CURVES[curve])
    numbers = key.public_key().public_numbers()
    r, s = decode_dss_signature(key.sign(MESSAGE, ec.ECDSA(LIBRARY[digest])))
    parts = (r.to_bytes(curve.size, "big"), s.to_bytes(curve.size, "big"))
    return EccPublic(curve, numbers.x, numbers.y), TpmSignature(Scheme.ECDSA, digest, parts)


def rsa_signature(scheme: Scheme, digest: TpmHash) -> tuple[TpmPublicKey, TpmSignature]:
    how: padding.AsymmetricPadding = padding.PKCS1v15()
    if scheme is Scheme.RSAPSS:
        how = padding.PSS(padding.MGF1(LIBRARY[digest]), digest.size)
    return rsa_public(RSA), TpmSignature(scheme, digest, (RSA.sign(MESSAGE, how, LIBRARY[digest]),))


CASES = [ecdsa(curve, digest) for curve in TpmCurve for digest in TpmHash] + [
    rsa_signature(scheme, digest) for scheme in (Scheme.RSASSA, Scheme.RSAPSS) for digest in TpmHash
]


@pytest.mark.parametrize(("key", "signature"), CASES)
def test_signatures_verify_or_raise(key: TpmPublicKey, signature: TpmSignature) -> None:
    verify_signature(key, signature, MESSAGE)
    altered = bytes([signature.parts[0][0] ^ 1]) + signature.parts[0][1:]
    for wrong, message in (
        (signature, MESSAGE + b"."),
        (TpmSignature(signature.scheme, signature.hash, (altered, *signature.parts[1:])), MESSAGE),
        (TpmSignature(signature.scheme, signature.hash, tuple(b"" for _ in signature.parts)), MESSAGE),
    ):
        with pytest.raises(RemoteError):
            verify_signature(key, wrong, message)


def test_the_key_decides_the_algorithm() -> None:
    (elliptic, elliptic_signature), (modular, modular_signature) = CASES[0], CASES[-1]
    for key, signature in ((elliptic, modular_signature), (modular, elliptic_signature)):
        with pytest.raises(RemoteError, match="another algorithm"):
            verify_signature(key, signature, MESSAGE)


@pytest.mark.parametrize(
    "key",
    [
        rsa_public(rsa.generate_private_key(65537, 1024)),
        rsa_public(rsa.generate_private_key(3, 2048)),
        RsaPublic((1 << 2047) + 2),
        RsaPublic((1 << 4096) + 1),
        RsaPublic(0),
        EccPublic(TpmCurve.P256, 1, 1),
        EccPublic(TpmCurve.P256, 0, 0),
        EccPublic(TpmCurve.P384, 1 << 400, 1),
    ],
    ids=["1024 bits", "exponent 3", "even", "4097 bits", "nothing", "off the curve", "infinity", "beyond the field"],
)
def test_weak_keys_raise(key: TpmPublicKey) -> None:
    for use in (lambda: require_strong(key), lambda: make_credential(key, b"name", b"secret")):
        with pytest.raises(RemoteError):
            use()


@pytest.mark.parametrize("bits", [128, 256, 384, 512])
def test_kdfa_is_sp_800_108(bits: int) -> None:
    reference = KBKDFHMAC(
        algorithm=hashes.SHA256(),
        mode=Mode.CounterMode,
        length=bits // 8,
        rlen=4,
        llen=4,
        location=CounterLocation.BeforeFixed,
        label=b"LABEL",
        context=b"uuvvv",
        fixed=None,
    )
    assert derive_tpm(b"key", b"LABEL", b"uu", b"vvv", bits) == reference.derive(b"key")


def test_kdfe_is_sp_800_56a() -> None:
    reference = ConcatKDFHash(hashes.SHA256(), 32, b"SECRET\0" + b"uu" + b"vv")
    assert tpm_primitives._derive_shared(b"z" * 32, b"SECRET", b"uu", b"vv") == reference.derive(b"z" * 32)


def test_a_seed_opens_with_the_private_key() -> None:
    seed, encrypted = encrypt_seed(rsa_public(RSA), b"IDENTITY")
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"IDENTITY\0")
    assert int.from_bytes(encrypted[:2], "big") == 256
    assert RSA.decrypt(encrypted[2:], oaep) == seed
    assert encrypt_seed(rsa_public(RSA), b"IDENTITY")[0] != seed


def test_a_credential_holds_the_secret_for_one_name() -> None:
    credential = make_credential(rsa_public(RSA), b"name", b"s" * 32)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"IDENTITY\0")
    seed = RSA.decrypt(credential.encrypted_seed[2:], oaep)
    identity = credential.id_object[2 + 2 + 32 :]
    assert decrypt_cfb(derive_tpm(seed, b"STORAGE", b"name", b"", 128), bytes(16), identity) == b"\0\x20" + b"s" * 32
    assert decrypt_cfb(derive_tpm(seed, b"STORAGE", b"mane", b"", 128), bytes(16), identity) != b"\0\x20" + b"s" * 32
    tag = tpm_primitives.hmac_sha256(derive_tpm(seed, b"INTEGRITY", b"", b"", 256), identity + b"name")
    assert credential.id_object[4:36] == tag


def test_parameters_are_encrypted_by_both_nonces() -> None:
    keys = {parameter_key(b"value", newer, older) for newer, older in ((b"a", b"b"), (b"b", b"a"), (b"a", b"c"))}
    assert len(keys) == 3
    key, initial = keys.pop()
    assert decrypt_cfb(key, initial, encrypt_cfb(key, initial, b"parameter")) == b"parameter"


def test_names_say_their_hash() -> None:
    assert TpmHash.SHA256.tpm_name(MESSAGE) == b"\x00\x0b" + hashlib.sha256(MESSAGE).digest()
    assert TpmHash.SHA384.tpm_name(MESSAGE) == b"\x00\x0c" + hashlib.sha384(MESSAGE).digest()
