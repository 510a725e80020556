"""Settings from `MIE_*` variables: read once, frozen, handed down as values. Nothing below this floor looks at the
environment.

Rules, and the attack each stops:

1. A value that asks for a protection to be switched off stops the start: a copied deployment file must not be able to
   weaken a node without anybody noticing.
2. So does a name that begins with MIE_ and is none of ours: a typing error in the name of a protection would otherwise
   leave it at its default in silence.

docs/reference/settings.md is made from this file (scripts/generate_settings.py).
"""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mohawk.errors import UsageError
from mohawk.nouns.key_source import parse_key_source

PREFIX = "MIE_"


def _must_stay_on(value: bool) -> bool:  # noqa: FBT001 - a pydantic validator's signature
    if not value:
        raise ValueError("this protection is mandatory and has no switch")
    return value


def _must_name_a_key(value: str) -> str:
    if value:
        try:
            parse_key_source(value)
        except UsageError as error:
            raise ValueError(error.message) from None
    return value


Mandatory = Annotated[bool, AfterValidator(_must_stay_on)]


def _default_home() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "mohawk"


class Settings(BaseSettings):
    """What the environment may decide. Names are those of the security guide."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", use_attribute_docstrings=True, hide_input_in_errors=True
    )

    home: Path = Field(default_factory=_default_home)
    """Where this user's keys, sealed models, worker stores and audit logs live."""
    key_provider: Annotated[str, AfterValidator(_must_name_a_key)] = ""
    """Where model keys are kept, as `--key` says it (docs/spec/sealed-slice.md §4.2); empty: a file below MIE_HOME."""
    enable_pqc: Mandatory = True
    """Hybrid post-quantum key exchange between nodes: X25519MLKEM768, and nothing else."""
    replay_protection_enabled: Mandatory = True
    """TLS 1.3 counts the records of each hop, without 0-RTT; step tickets and nonces are used once."""
    nonce_expiry_seconds: int = Field(3600, ge=60, le=86_400)
    """How old a sealed API request may be, and how long its nonce is remembered. Below a minute, clocks that differ by
    what is allowed (60 s) refuse honest requests; above a day, the key that such requests are sealed to has changed.
    Sealed requests are not there yet; join tokens (600 s) and challenges (60 s) keep their own."""
    weight_encryption_enabled: Mandatory = True
    """Weights are sealed on disk and opened into memory only."""
    worker_cert_path: Path | None = None
    """Certificate chain (PEM) of a worker that is started without an identity folder. Goes with MIE_WORKER_KEY_PATH."""
    worker_key_path: Path | None = None
    """Its private key (PEM, mode 0600). Goes with MIE_WORKER_CERT_PATH."""
    key_password: SecretStr | None = None
    """Opens private keys that are encrypted PEM."""
    tpm_attestation_required: bool = False
    """true: a controller starts only under a key-release policy that demands a TPM, or more (`mohawk attest policy`).
    false: it also starts under one that demands less, or without one; workers that showed a certificate and nothing
    more are labelled `software` everywhere. What the policy demands is enforced either way."""
    circuit_breaker_threshold: int = Field(5, ge=1, le=100)
    """Failures in a row after which no more work goes to a worker. With 0 every worker would count as broken; a breaker
    that waits for more than 100 never opens in time. Checked at start, and used when there are replicas to turn to."""
    max_concurrent_sessions: int = Field(1000, ge=1, le=100_000)
    """Sessions held at once, and requests under way; one more of either is answered 503. Beyond 100,000 one
    controller's memory is not enough."""
    api_require_pq: bool = False
    """true: refuse API clients without post-quantum key exchange; false: serve and report them. Between nodes it is
    always required."""

    @model_validator(mode="after")
    def _check_pair(self) -> Settings:
        certificate, key = self.worker_cert_path, self.worker_key_path
        if (certificate is None) != (key is None):
            missing = "MIE_WORKER_CERT_PATH" if certificate is None else "MIE_WORKER_KEY_PATH"
            raise ValueError(f"{missing} is not set: a worker's certificate and key go together")
        return self


def variable(field: str) -> str:
    """`enable_pqc` -> `MIE_ENABLE_PQC`."""
    return PREFIX + field.upper()


def load_settings() -> Settings:
    """The settings of this process. Raises UsageError naming the variable that is wrong, and why."""
    _refuse_unknown_names()
    try:
        return Settings()
    except ValidationError as error:
        raise _explain(error) from None


def _refuse_unknown_names() -> None:
    known = {variable(field) for field in Settings.model_fields}
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name not in known:
            nearest = get_close_matches(name.upper(), known, 1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"known are: {', '.join(sorted(known))}"
            raise UsageError(f"{_printable(name)} is no setting of Mohawk", hint=hint, field=name)


def _explain(error: ValidationError) -> UsageError:
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:  # a rule about several
        return UsageError(message)
    field = str(first["loc"][0])
    name = variable(field)
    about = " ".join((Settings.model_fields[field].description or "").split())
    return UsageError(f"{name}: {message}", hint=f"unset {name} or correct it. {about}", field=name)


def _printable(name: str) -> str:
    return name.encode("unicode_escape").decode("ascii")[:80]
