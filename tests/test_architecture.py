"""The building itself: floors, file sizes, banned calls, what a process loads, and documents that the code cites."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
FILES = sorted(
    path for folder in ("src", "tests", "bench", "demo", "scripts") for path in (ROOT / folder).rglob("*.py")
)
GENERATED = {"mohawk_pb2.py"}
MOST_LINES = 400
HELP_SECONDS = 5.0
"""The promise is 0.5 s on an idle machine; what it forbids, heavy imports, is checked exactly."""

BANNED_MODULES = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "joblib", "cloudpickle", "yaml"}
BANNED_CALLS = {"eval", "exec", "compile", "__import__"}
BANNED_METHODS = {("torch", "load"), ("os", "system"), ("os", "popen"), ("yaml", "load"), ("numpy", "load")}


YAML_HOME = "src/mohawk/host/yaml_file.py"
YAML_CALLS = {"safe_load", "compose"}
"""`compose` shows the tree as written and builds nothing."""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_files_are_short_enough_to_read():
    long = {name(path): len(path.read_text().splitlines()) for path in FILES if path.name not in GENERATED}
    assert {path: lines for path, lines in long.items() if lines > MOST_LINES} == {}


def test_no_drawer_for_odds_and_ends():
    assert [name(path) for path in FILES if path.stem in {"util", "utils", "helper", "helpers", "misc", "common"}] == []


def dangers(tree: ast.AST) -> Iterator[str]:
    """Calls and imports that run code from data (C09)."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (f"import {alias.name}" for alias in names if alias.name.split(".")[0] in BANNED_MODULES)
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in BANNED_MODULES:
                yield f"from {module}"
            case ast.Call(func=ast.Name(id=called)) if called in BANNED_CALLS:
                yield f"{called}()"
            case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr=called)) if (
                module,
                called,
            ) in BANNED_METHODS:
                yield f"{module}.{called}()"
            case ast.keyword(arg="shell", value=ast.Constant(value=True)):
                yield "shell=True"
            case ast.keyword(arg="trust_remote_code", value=value) if not (
                isinstance(value, ast.Constant) and value.value is False
            ):
                yield "trust_remote_code"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_nothing_runs_code_from_data(path: Path):
    allowed = ["import yaml"] if name(path) == YAML_HOME else []
    assert list(dangers(ast.parse(path.read_text()))) == allowed


def test_yaml_is_loaded_safely_and_in_one_place():
    tree = ast.parse((ROOT / YAML_HOME).read_text())
    calls = [
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "yaml"
    ]
    assert set(calls) == YAML_CALLS


@pytest.mark.parametrize(
    "text",
    ["import pickle", "from pickle import loads", "torch.load(x)", "yaml.load(x)", "run(x, shell=True)", "eval(x)"]
    + ["exec(x)", "import marshal", "import shelve", "f(trust_remote_code=True)", "os.system(x)"],
)
def test_the_search_for_dangers_finds_them(text: str):
    assert len(list(dangers(ast.parse(text)))) == 1


def test_imports_go_down_the_floors():
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    if not Path(command[0]).exists():
        command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
        command += ["--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert ", 0 broken" in result.stdout


def test_help_is_quick_because_it_loads_nothing_heavy():
    """Cryptography, torch and transformers cost seconds; a command that only prints pays for none of them."""
    program = (
        "import sys; from mohawk.cli.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'cryptography', 'OpenSSL', 'httpx', 'pydantic', 'starlette', 'uvicorn'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))"
    )
    begin = time.monotonic()
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert time.monotonic() - begin < HELP_SECONDS
    assert "Serve one private model" in result.stdout
    assert result.stdout.splitlines()[-1] == "heavy: []"


def test_documents_that_the_code_cites_exist():
    cited: dict[str, set[str]] = {}
    for path in [*FILES, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        if path.name == "test_architecture.py":
            continue
        for document in re.findall(r"docs/[\w./-]+\.md", path.read_text()):
            cited.setdefault(document, set()).add(name(path))
    assert {document: who for document, who in cited.items() if not (ROOT / document).exists()} == {}


def test_links_between_documents_lead_somewhere():
    broken = []
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", path.read_text()):
            if not (path.parent / link).exists():
                broken.append((name(path), link))
    assert broken == []


def test_each_attack_test_names_its_defence():
    """Stimulus, expected outcome, and what gets through without the defence: in each file's opening words."""
    for path in (ROOT / "tests" / "attacks").glob("test_*.py"):
        words = ast.get_docstring(ast.parse(path.read_text())) or ""
        assert re.match(r"[A-Z]\d\d", words), name(path)
        assert "Defence:" in words, name(path)
        assert "removed" in words, name(path)
