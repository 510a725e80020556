"""The certificate policy: each of its keys refuses something by itself, and none can ask for less than we keep anyway."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from mohawk.errors import UsageError
from mohawk.host.yaml_file import parse_yaml
from mohawk.identity.names import IdentityRefusedError, Reason
from mohawk.identity.policy import BUILT_IN, CertificatePolicy, encode_policy, parse_policy
from tests.support.tls import AUTHORITY_USAGES, Forgery, Mesh, facts

GUIDE = """
certificate:
  minimum_validity_days: 365
  maximum_path_length: 2
  key_algorithm: "ECDSA"
  key_size_bits: 384
  curve: "secp384r1"
pqc_requirements:
  kem_algorithm: "Kyber768"
  minimum_kem_security_level: 3
"""


def parse(text: str) -> CertificatePolicy:
    return parse_policy(parse_yaml(text.encode(), "requirements.yaml"))


def test_the_guide_s_own_file_is_what_is_built_in() -> None:
    assert parse(GUIDE) == BUILT_IN


@pytest.mark.parametrize("policy", [BUILT_IN, CertificatePolicy(700, 1, kem_algorithm="ML-KEM-768")])
def test_what_is_written_is_read(policy: CertificatePolicy) -> None:
    assert parse(encode_policy(policy).decode()) == policy


@pytest.mark.parametrize(
    ("key", "weaker"),
    [
        ("minimum_validity_days", 364),
        ("minimum_validity_days", 0),
        ("maximum_path_length", 3),
        ("key_size_bits", 256),
        ("minimum_kem_security_level", 1),
        ("key_algorithm", "RSA"),
        ("curve", "secp256r1"),
        ("kem_algorithm", "Kyber512"),
    ],
)
def test_a_policy_that_would_weaken_is_refused_by_name(key: str, weaker: object) -> None:
    with pytest.raises(UsageError, match=key) as refusal:
        replace(BUILT_IN, **{key: weaker})
    assert refusal.value.field == key


@pytest.mark.parametrize(
    ("key", "stricter"),
    [
        ("minimum_validity_days", 1096),
        ("maximum_path_length", 0),
        ("key_size_bits", 521),
        ("minimum_kem_security_level", 5),
        ("key_algorithm", "ML-DSA-65"),
        ("curve", "secp521r1"),
        ("kem_algorithm", "Kyber1024"),
    ],
)
def test_what_this_version_cannot_fulfil_is_refused_at_start(key: str, stricter: object) -> None:
    with pytest.raises(UsageError, match=key):
        replace(BUILT_IN, **{key: stricter})


@pytest.mark.parametrize("key", asdict(BUILT_IN))
def test_a_missing_or_mistyped_key_is_no_demand_and_is_refused(key: str) -> None:
    lines = GUIDE.splitlines()
    missing = "\n".join(line for line in lines if f"{key}:" not in line)
    for text in (missing, GUIDE.replace(key, f"{key}s"), GUIDE.replace(f"  {key}: ", f"  {key}: [] #")):
        with pytest.raises(UsageError):
            parse(text)


@pytest.mark.parametrize("document", [None, [], "certificate", 3, {}, {"certificate": {}}, {True: 1}])
def test_other_shapes(document: object) -> None:
    with pytest.raises(UsageError):
        parse_policy(document)


def test_true_is_no_number() -> None:
    with pytest.raises(UsageError, match="whole number"):
        parse(GUIDE.replace("365", "true"))


# ---- what each key refuses ------------------------------------------------------------------------------------------


def test_a_chain_of_ours_passes() -> None:
    mesh = Mesh()
    BUILT_IN.check_chain((*mesh.credentials().chain, mesh.root.certificate))
    BUILT_IN.check_group("X25519MLKEM768")


@pytest.mark.parametrize(
    ("key", "forgery"),
    [
        ("key_algorithm", {"key": rsa.generate_private_key(65537, 3072)}),
        ("key_algorithm", {"key": ed25519.Ed25519PrivateKey.generate()}),
        ("key_size_bits", {"key": ec.generate_private_key(ec.SECP256R1())}),
        ("key_size_bits", {"key": ec.generate_private_key(ec.SECP521R1())}),
        ("curve", {"key": ec.generate_private_key(ec.BrainpoolP384R1())}),
    ],
)
def test_a_leaf_with_another_key(key: str, forgery: dict[str, object]) -> None:
    mesh = Mesh()
    leaf = facts(*Forgery(**forgery).by(mesh.issuing))[0]
    assert refused(lambda: BUILT_IN.check_chain((leaf, mesh.issuing.certificate, mesh.root.certificate))) == key


@pytest.mark.parametrize(
    ("key", "authority"),
    [
        ("minimum_validity_days", {"path_length": 0, "end": timedelta(days=364)}),
        ("maximum_path_length", {"path_length": 3, "end": timedelta(days=400)}),
        ("maximum_path_length", {"path_length": None, "end": timedelta(days=400)}),
    ],
)
def test_an_authority_against_the_policy(key: str, authority: dict[str, object]) -> None:
    mesh = Mesh()
    forged = Forgery(is_authority=True, usages=AUTHORITY_USAGES, uris=(), purposes=(), **authority)
    issuing = facts(forged.sign(mesh.root.certificate.native, mesh.root.key.private))[0]
    leaf = mesh.credentials().chain[0]
    assert refused(lambda: BUILT_IN.check_chain((leaf, issuing, mesh.root.certificate))) == key


def test_a_stricter_policy_refuses_authorities_of_the_shortest_life() -> None:
    mesh = Mesh()
    chain = (*mesh.credentials().chain, mesh.root.certificate)
    assert refused(lambda: CertificatePolicy(minimum_validity_days=730).check_chain(chain)) == "minimum_validity_days"
    assert refused(lambda: CertificatePolicy(maximum_path_length=1).check_chain(chain)) == ""


@pytest.mark.parametrize("group", ["x25519", "SecP256r1MLKEM768", "x25519mlkem768", "MLKEM512", ""])
def test_a_key_exchange_without_the_kem(group: str) -> None:
    assert refused(lambda: BUILT_IN.check_group(group)) == "kem_algorithm"


def test_a_kem_of_too_low_a_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """No group of this version has such a KEM; should one be let in, its level is asked as well as its name."""
    monkeypatch.setattr("mohawk.identity.policy._KEMS", {"weak": (("Kyber768",), 1)})
    assert refused(lambda: BUILT_IN.check_group("weak")) == "minimum_kem_security_level"


def refused(check: object) -> str:
    """The key of the policy that `check` is refused for; empty when it passes."""
    try:
        check()  # type: ignore[operator]
    except IdentityRefusedError as error:
        return error.hint.removeprefix("requirements.yaml: ") if error.reason is Reason.POLICY else str(error)
    return ""
