"""Write docs/reference/settings.md from the settings in the code; with --check, compare and change nothing."""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from mohawk.config import Settings, variable

TARGET = Path(__file__).resolve().parent.parent / "docs" / "reference" / "settings.md"
HEAD = """\
# Settings

<!-- Made from src/mohawk/config.py by scripts/generate_settings.py: change it there. -->

Environment variables, read once at start by every command. A value that is not allowed, a value that would switch a
mandatory protection off, and a name that begins with `MIE_` and does not stand here stop the start with exit code 2 and
the reason.

In Kubernetes, a Service named `mie-…` makes variables that begin with `MIE_` in every pod of its namespace: give it
another name, or set `enableServiceLinks: false`.

| variable | allowed | default | what it decides |
|---|---|---|---|
"""


def allowed(info: FieldInfo) -> str:
    """In words, from type and bounds."""
    if info.annotation is bool:
        return "`true`, and nothing else" if info.metadata else "`true`, `false`"
    bounds = {name: getattr(one, name) for one in info.metadata for name in ("ge", "le") if hasattr(one, name)}
    if bounds:
        return f"{bounds['ge']:,} to {bounds['le']:,}"
    return {str: "what `--key` takes", SecretStr | None: "a secret"}.get(info.annotation, "a path")


def default(info: FieldInfo) -> str:
    if info.default is PydanticUndefined:
        return "`~/.local/share/mohawk`"
    return "none" if info.default in (None, "") else f"`{str(info.default).lower()}`"


def render() -> str:
    rows = [
        f"| `{variable(name)}` | {allowed(info)} | {default(info)} | {' '.join((info.description or '').split())} |\n"
        for name, info in Settings.model_fields.items()
    ]
    return HEAD + "".join(rows)


def main() -> None:
    if "--check" not in sys.argv[1:]:
        TARGET.parent.mkdir(exist_ok=True)
        TARGET.write_text(render())
    elif TARGET.read_text() != render():
        sys.exit("docs/reference/settings.md is stale; run: python scripts/generate_settings.py")


if __name__ == "__main__":
    main()
