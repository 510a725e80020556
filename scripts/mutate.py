"""Does each attack test protect anything? One defence at a time is removed, and its test run: it must fail.

    python scripts/mutate.py [--only ID ...] [--jobs N] [--json]

The defences are the lines of tests/mutations.toml. Each is removed from a fresh copy of the tree, with a virtual
environment of its own in front of this one's packages, so that the tests and every process that they start import the
copy. Exit code 1 when a test survives, or fails for the mutation's own mistake.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "tests" / "mutations.toml"
ATTACKS = Path("tests") / "attacks"
SOURCE = Path("src") / "mohawk"
LEFT_BEHIND = (".git", ".venv", ".models", "build", "dist", ".hypothesis", ".*_cache", "*.egg-info")
TEST_SECONDS = 90
"""For one test: without its defence it may wait for ever."""
RUN_SECONDS = 400
MEMORY_BYTES = 4 << 30
"""Of one process: without its defence it may ask for all there is."""
MISTAKES = ("NameError", "SyntaxError", "ImportError", "ModuleNotFoundError", "IndentationError", "UnboundLocalError")


@dataclass(frozen=True)
class Mutation:
    """`test`: a file's name in tests/attacks; `edits`: (file below src/mohawk, what is there once, what it becomes)."""

    id: str
    test: str
    edits: tuple[tuple[str, str, str], ...]

    def apply(self, tree: Path) -> None:
        """Remove the defence. Raises ValueError when the table and the code no longer fit."""
        for file, old, new in self.edits:
            path = tree / SOURCE / file
            text = path.read_text()
            if text.count(old) != 1:
                raise ValueError(f"{self.id}: what it removes is {text.count(old)} times in {file}, not once")
            text = text.replace(old, new)
            ast.parse(text)
            path.write_text(text)


@dataclass(frozen=True)
class Result:
    """`outcome`: killed (as it must be), survived, broken (the mutation itself is wrong), skipped (not on this
    machine). `by`: the first test that failed, and with what.
    """

    id: str
    test: str
    outcome: str
    seconds: float
    by: str


def read_mutations() -> list[Mutation]:
    """The table. Raises ValueError or KeyError when it cannot be read."""
    table = tomllib.loads(TABLE.read_text("utf-8"))
    return [
        Mutation(name, line["test"], tuple((file, old, new) for file, old, new in line["edits"]))
        for name, line in table.items()
    ]


def unprotected(mutations: list[Mutation]) -> list[str]:
    """Attack tests that no mutation tries."""
    tried = {mutation.test for mutation in mutations}
    return sorted(path.name for path in (ROOT / ATTACKS).glob("test_*.py") if path.name not in tried)


def try_mutation(mutation: Mutation) -> Result:
    with tempfile.TemporaryDirectory(prefix="mohawk-mutation-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        tree = folder / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*LEFT_BEHIND), symlinks=True)
        mutation.apply(tree)
        python = make_environment(folder / "venv", tree)
        began = time.monotonic()
        code, output = run_test(python, tree, folder, mutation.test)
        outcome, by = judge(code, output)
        return Result(mutation.id, mutation.test, outcome, round(time.monotonic() - began, 1), by)


def make_environment(folder: Path, tree: Path) -> Path:
    """A Python that imports `tree`, and what this one has installed."""
    venv.EnvBuilder(symlinks=True).create(folder)
    inherited = [path for path in sys.path if path and Path(path).is_dir() and Path(path).resolve() not in _OURS]
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "tree.pth").write_text("\n".join([str(tree / "src"), *inherited]) + "\n")
    return folder / "bin" / "python"


_OURS = {ROOT, ROOT / "src", ROOT / "scripts"}


def run_test(python: Path, tree: Path, folder: Path, test: str) -> tuple[int, str]:
    """(pytest's exit code, what it said); -9 when it did not come to an end."""
    command = [str(python), "-m", "pytest", str(ATTACKS / test), "-x", "-rf", "--tb=short", "-p", "no:cacheprovider"]
    command += [f"--timeout={TEST_SECONDS}", f"--basetemp={folder / 'pytest'}"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MIE_", "PYTHON", "PYTEST"))}
    temporary = folder / "tmp"
    temporary.mkdir()
    process = subprocess.Popen(
        command,
        cwd=tree,
        env=kept | {"TMPDIR": str(temporary), "COLUMNS": "300"},  # a line holds a reason
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=RUN_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return -9, output
    return process.returncode, output


def judge(code: int, output: str) -> tuple[str, str]:
    """(outcome, by)."""
    if code == 0:
        return ("survived" if re.search(r"\d+ passed", output) else "skipped"), ""
    if code < 0:
        return "killed", f"signal {-code}"
    failed = re.search(r"^FAILED \S+?::(.+)$", output, re.MULTILINE)
    if failed is None:
        return "broken", output.strip().splitlines()[-1] if output.strip() else f"exit code {code}"
    name, _, reason = failed[1].partition(" - ")
    return ("broken" if reason.startswith(MISTAKES) else "killed"), f"{name}: {reason}" if reason else name


def try_all(mutations: list[Mutation], jobs: int) -> Iterator[Result]:
    """As they come to an end."""
    with ThreadPoolExecutor(jobs) as threads:
        for future in as_completed([threads.submit(try_mutation, mutation) for mutation in mutations]):
            yield future.result()


def choose(only: list[str]) -> list[Mutation]:
    """All mutations, or those whose id begins with one of `only`."""
    chosen = [mutation for mutation in read_mutations() if not only or mutation.id.startswith(tuple(only))]
    if not chosen:
        raise SystemExit("no such mutation; see tests/mutations.toml")
    return chosen


def describe(result: Result) -> str:
    return f"{result.id:<28} {result.outcome:<9} {result.seconds:6.1f} s  {result.by[:100]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="ID", help="an id, or how several begin")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="at the same time")
    parser.add_argument("--json", action="store_true", help="for machines")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    results = []
    for result in try_all(choose(options.only), options.jobs):
        results.append(result)
        if not options.json:
            print(describe(result), flush=True)
    counts = Counter(result.outcome for result in results)
    untried = unprotected(read_mutations())
    if options.json:
        rows = [asdict(result) for result in sorted(results, key=lambda result: result.id)]
        print(json.dumps({"counts": counts, "results": rows, "untried": untried}, indent=2))
    else:
        print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
        if untried:
            print(f"attack tests without a mutation: {' '.join(untried)}")
    sys.exit(1 if counts["survived"] or counts["broken"] else 0)


if __name__ == "__main__":
    main()
