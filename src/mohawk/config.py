"""Settings from `MIE_*` variables: read once, frozen, handed down as values. Nothing below this floor looks at the
environment.

A value that asks for a protection to be switched off stops the start: a copied deployment file must not be able to
weaken a node without anybody noticing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from mohawk.errors import UsageError
from mohawk.nouns.key_source import parse_key_source


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

    model_config = SettingsConfigDict(env_prefix="MIE_", frozen=True, extra="ignore")

    home: Path = Field(default_factory=_default_home)
    """Where this user's keys, sealed models and worker stores live."""
    key_provider: Annotated[str, AfterValidator(_must_name_a_key)] = ""
    """Where model keys are kept, as `--key` says it (docs/spec/sealed-slice.md §4.2); empty: a file below `home`."""
    api_require_pq: bool = False
    """Refuse API clients without post-quantum key exchange (they are served, and reported, otherwise)."""
    enable_pqc: Mandatory = True
    """Hybrid post-quantum key exchange between nodes."""
    replay_protection_enabled: Mandatory = True
    """TLS 1.3 sequence numbers on each hop; no 0-RTT."""
    weight_encryption_enabled: Mandatory = True
    """Weights are sealed on disk."""
    worker_cert_path: Path | None = None
    """Certificate chain (PEM) of a worker that is started without an identity folder. Goes with MIE_WORKER_KEY_PATH."""
    worker_key_path: Path | None = None
    """Its private key (PEM, mode 0600). Goes with MIE_WORKER_CERT_PATH."""
    key_password: SecretStr | None = None
    """Opens private keys that are encrypted PEM."""


def load_settings() -> Settings:
    """The settings of this process. Raises UsageError naming the variable that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "MIE_" + "_".join(str(part) for part in first["loc"]).upper()
        raise UsageError(f"{name}: {first['msg']}", hint=f"unset {name} or correct it", field=name) from None
