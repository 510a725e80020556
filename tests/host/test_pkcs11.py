"""Protects model keys that a token keeps: the wrapping key cannot leave it, one object is one model, and every refusal
says what to do.
"""

from __future__ import annotations

from pathlib import Path

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass

from mohawk.errors import ArtifactError, HostError, MohawkError, NotFoundError, PolicyError, UsageError
from mohawk.host import pkcs11 as ours
from mohawk.host.key_providers import open_key_provider
from mohawk.host.keys import KeyProvider
from mohawk.host.pkcs11 import WrappedByToken
from mohawk.host.pkcs11_errors import explain
from mohawk.nouns.key_source import parse_key_source
from tests.support.softhsm import MODULE, PIN, SoftToken, TokenBox

MODEL_KEY = bytes(range(32))


def provider(uri: str, environment: dict[str, str] | None = None) -> KeyProvider:
    return open_key_provider(parse_key_source(uri), environment or {})


def test_round_trip(token: SoftToken):
    keeper = token.provider()
    blob = keeper.wrap(MODEL_KEY)
    with keeper.unwrap(blob) as key:
        assert key.view == MODEL_KEY
    assert MODEL_KEY not in blob
    assert len(blob) <= 4096
    assert keeper.name == "pkcs11"
    assert PIN not in keeper.describe() + repr(keeper)


def test_each_model_key_has_an_object_of_its_own(token: SoftToken):
    keeper = token.provider()
    blobs = [WrappedByToken.parse(keeper.wrap(MODEL_KEY)) for _ in range(3)]
    assert len({blob.key_id for blob in blobs}) == 3
    assert token.labels() == sorted(blob.label for blob in blobs)
    assert all(blob.label.startswith("mohawk-") for blob in blobs)


def test_an_operator_may_name_the_objects(token: SoftToken):
    keeper = provider(token.uri(";object=tiny%20model"))
    blob = keeper.wrap(MODEL_KEY)
    assert token.labels() == ["tiny model"]
    assert token.provider().unwrap(blob).view == MODEL_KEY, "found by its id, whatever the label"


def test_the_wrapping_key_cannot_leave_the_token(token: SoftToken):
    """With the PIN and any tool: read it, have it wrapped, copy it, make it weaker, decrypt with it."""
    blob = WrappedByToken.parse(token.provider().wrap(MODEL_KEY))
    with token.session() as session:
        (wrapping,) = session.get_objects({Attribute.ID: blob.key_id})
        assert wrapping[Attribute.NEVER_EXTRACTABLE] is True
        assert wrapping[Attribute.ALWAYS_SENSITIVE] is True
        with pytest.raises(pkcs11.AttributeSensitive):
            _ = wrapping[Attribute.VALUE]
        other = session.generate_key(KeyType.AES, 256, label="thief")
        with pytest.raises(pkcs11.KeyUnextractable):
            other.wrap_key(wrapping, mechanism=Mechanism.AES_KEY_WRAP_PAD)
        for weaker in ({Attribute.EXTRACTABLE: True}, {Attribute.SENSITIVE: False}, {Attribute.LABEL: "kept"}):
            with pytest.raises(pkcs11.PKCS11Error):
                wrapping.copy(weaker)
        with pytest.raises(pkcs11.PKCS11Error):
            wrapping[Attribute.EXTRACTABLE] = True
        assert wrapping[Attribute.DECRYPT] is False


def test_no_model_key_stays_on_the_token(token: SoftToken):
    keeper = token.provider()
    keeper.unwrap(keeper.wrap(MODEL_KEY)).release()
    assert len(token.labels()) == 1


def test_another_token_opens_nothing(token: SoftToken, token_box: TokenBox):
    """Same make, same PIN; it has wrapping keys of its own."""
    other = token_box.token("thief")
    other.provider().wrap(MODEL_KEY)
    blob = token.provider().wrap(MODEL_KEY)
    with pytest.raises(NotFoundError, match="no key object") as refused:
        other.provider().unwrap(blob)
    assert token.label in refused.value.hint


def test_the_same_label_and_id_elsewhere_open_nothing(token: SoftToken, token_box: TokenBox):
    """A thief who knows the id can make an object that bears it, but not this key."""
    other = token_box.token("forger")
    blob = token.provider().wrap(MODEL_KEY)
    parsed = WrappedByToken.parse(blob)
    with other.session() as session:
        session.generate_key(KeyType.AES, 256, id=parsed.key_id, label=parsed.label, store=True)
    with pytest.raises(ArtifactError):
        other.provider().unwrap(blob)


def test_altered_blobs_raise(token: SoftToken):
    keeper = token.provider()
    blob = keeper.wrap(MODEL_KEY)
    good = WrappedByToken.parse(blob)
    flipped = bytes([good.wrapped[0] ^ 1]) + good.wrapped[1:]
    wrong = WrappedByToken(good.token, good.serial, good.label, good.key_id, flipped)
    with pytest.raises(ArtifactError):
        keeper.unwrap(wrong.encode())
    with pytest.raises(NotFoundError):
        keeper.unwrap(WrappedByToken(good.token, good.serial, good.label, bytes(16), good.wrapped).encode())
    for broken in (b"", blob[:-1], blob + b" ", bytes(81)):
        with pytest.raises(ArtifactError):
            keeper.unwrap(broken)


def test_destroying_removes_this_object_and_no_other(token: SoftToken):
    keeper = token.provider()
    kept, doomed = keeper.wrap(MODEL_KEY), keeper.wrap(MODEL_KEY)
    assert "was destroyed" in keeper.destroy(doomed)
    with pytest.raises(NotFoundError, match="no key object"):
        keeper.unwrap(doomed)
    assert keeper.unwrap(kept).view == MODEL_KEY
    assert "gone already" in keeper.destroy(doomed)
    assert len(token.labels()) == 1


def test_a_token_that_never_held_a_key_does_not_say_that_it_is_gone(token: SoftToken, token_box: TokenBox):
    other = token_box.token("innocent")
    blob = token.provider().wrap(MODEL_KEY)
    with pytest.raises(NotFoundError, match="never held") as refused:
        other.provider().destroy(blob)
    assert token.label in refused.value.hint
    assert token.provider().unwrap(blob).view == MODEL_KEY


def test_a_copy_of_the_object_goes_with_it(token: SoftToken):
    keeper = token.provider()
    blob = keeper.wrap(MODEL_KEY)
    with token.session() as session:
        session.generate_key(KeyType.AES, 256, id=WrappedByToken.parse(blob).key_id, label="twin", store=True)
    keeper.destroy(blob)
    assert token.labels() == []


def test_a_failure_half_way_leaves_nothing_on_the_token(token: SoftToken, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> bytes:
        raise pkcs11.DeviceMemory

    monkeypatch.setattr(ours, "_wrap", fail)
    with pytest.raises(HostError, match="no more keys"):
        token.provider().wrap(MODEL_KEY)
    assert token.labels() == []


def test_a_token_that_lets_keys_out_is_refused(token: SoftToken):
    """What a token made of our wishes is read back, not believed."""
    with token.session() as session:
        for weaker in ({Attribute.EXTRACTABLE: True}, {Attribute.SENSITIVE: False}, {Attribute.COPYABLE: True}):
            loose = session.generate_key(KeyType.AES, 256, label="loose", template=ours._LOCKED_IN | weaker)
            with pytest.raises(HostError, match="leaving"):
                ours._require_locked_in(loose)
        imported = session.create_object(
            ours._LOCKED_IN
            | {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES, Attribute.VALUE: bytes(32)}
        )
        with pytest.raises(HostError, match="leaving"):
            ours._require_locked_in(imported)


# ---- what can be wrong around a token ---------------------------------------------------------------------------------


def refusal(keeper: KeyProvider) -> MohawkError:
    with pytest.raises(MohawkError) as refused:
        keeper.wrap(MODEL_KEY)
    assert refused.value.hint
    assert PIN not in refused.value.message + refused.value.hint
    assert "wrong-pin" not in refused.value.message + refused.value.hint
    return refused.value


@pytest.mark.parametrize("module", ["/nowhere/module.so", "/etc/hostname"])
def test_no_module(token: SoftToken, module: str):
    error = refusal(provider(token.uri(module=module)))
    assert isinstance(error, HostError)
    assert "module-path" in error.hint


def test_no_such_token(token: SoftToken):
    uri = token.uri().replace(token.label, "absent")
    assert "absent" in refusal(provider(uri)).message
    for more in (";serial=0000", ";model=other", ";manufacturer=other"):
        assert isinstance(refusal(provider(token.uri(more))), HostError)
    assert provider(token.uri(";model=SoftHSM%20v2;manufacturer=SoftHSM%20project")).wrap(MODEL_KEY)


def test_two_tokens_of_one_name(token_box: TokenBox):
    token_box.token("twins")
    token = token_box.token("twins")
    assert "serial" in refusal(token.provider()).hint
    serial = next(t.serial for t in pkcs11.lib(MODULE).get_tokens(token_label="twins")).decode()
    keeper = provider(token.uri(f";serial={serial}"))
    assert keeper.unwrap(keeper.wrap(MODEL_KEY)).view == MODEL_KEY


def test_a_wrong_pin_is_not_repeated_and_locking_is_told(token: SoftToken):
    token.pin_file.write_text("wrong-pin")
    error = refusal(token.provider())
    assert isinstance(error, UsageError)
    assert "PIN" in error.message
    assert "locks itself" in error.hint


def test_what_a_locked_pin_means():
    """SoftHSM never locks; cards do."""
    error = explain(pkcs11.PinLocked(), "card")
    assert isinstance(error, UsageError)
    assert "security officer" in error.hint
    assert "not lost" in error.hint


def test_what_has_no_words_of_its_own_is_named():
    assert "FunctionRejected" in explain(pkcs11.FunctionRejected("secret"), "card").message
    assert "secret" not in explain(pkcs11.FunctionRejected("secret"), "card").message


def test_pin_files(token: SoftToken, tmp_path: Path):
    token.pin_file.chmod(0o644)
    assert isinstance(refusal(token.provider()), PolicyError)
    token.pin_file.chmod(0o600)
    for content in (b"", b"\n", b"\xff\xfe"):
        token.pin_file.write_bytes(content)
        assert isinstance(refusal(token.provider()), UsageError)
    token.pin_file.write_bytes(b"x" * 257)
    with pytest.raises(HostError, match="size limit"):
        token.provider().wrap(MODEL_KEY)
    token.pin_file.unlink()
    assert isinstance(refusal(token.provider()), HostError)


def test_a_pin_from_a_variable(token: SoftToken):
    uri = f"pkcs11:token={token.label}?module-path={MODULE}&pin-source=env:TOKEN_PIN"
    assert provider(uri, {"TOKEN_PIN": PIN}).wrap(MODEL_KEY)
    assert isinstance(refusal(provider(uri)), UsageError)
    assert isinstance(refusal(provider(uri, {"TOKEN_PIN": "wrong-pin"})), UsageError)
