"""Where this user's things live, below MIE_HOME. One table; no other file of the CLI joins these paths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    home: Path

    @classmethod
    def load(cls) -> Places:
        """From the settings of this process. Raises UsageError."""
        from mohawk.config import load_settings

        return cls(load_settings().home)

    @property
    def pki(self) -> Path:
        return self.home / "pki"

    def sealed_model(self, model_id: str, revision: str, slices: int) -> Path:
        """Where `mohawk up` seals a model. Its id was matched in full, so it cannot leave the folder."""
        return self.home / "models" / model_id / f"{revision[:16]}-{slices}"

    @property
    def model_key(self) -> Path:
        """The random key of `mohawk up`, apart from the slices that it opens."""
        return self.home / "keys" / "model.key"

    def worker(self, name: str) -> Path:
        """A worker on this machine: its slice store, log and temporary files."""
        return self.home / "workers" / name

    @property
    def audit(self) -> Path:
        """The audit log of the controllers that run with this home."""
        return self.home / "audit" / "controller.jsonl"

    @property
    def command_audit(self) -> Path:
        """What commands did that need no running node."""
        return self.home / "audit" / "commands.jsonl"

    @property
    def store(self) -> Path:
        """API keys, sessions, and what else a controller remembers (docs/spec/store.md)."""
        return self.home / "store" / "mohawk.db"

    @property
    def api_key(self) -> Path:
        return self.home / "api" / "key"

    @property
    def api_url(self) -> Path:
        """OPENAI_BASE_URL of the server that was started last."""
        return self.home / "api" / "url"

    @property
    def api_root(self) -> Path:
        """The certificate that clients of the API verify against."""
        return self.home / "api" / "root.pem"

    @property
    def operator(self) -> Path:
        """The operator identity that `mohawk status` uses."""
        return self.home / "operator"


def audit_beside(store: Path) -> Path:
    """A worker's audit log lies with its slices: in the one folder that is its own wherever it runs."""
    return store / "audit.jsonl"
