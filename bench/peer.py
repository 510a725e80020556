"""The peer: llama.cpp's `llama-server` and `ggml-rpc-server`, built from the sources that one release of the
`llama-cpp-python` sdist brings along.

    python -m bench.peer [--jobs 2]

Into bench/.peers, once; needs a C++ compiler, cmake and ninja (the last two are in requirements/bench.txt), and about
ten minutes of two cores. The release is pinned by its digest: what is compared with must not change by itself.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / ".peers"
RELEASE = "0.3.36"
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
PATH = os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)))
TARGETS = ("llama-server", "ggml-rpc-server")
OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DGGML_RPC=ON",
    "-DGGML_NATIVE=ON",  # this machine's own vector instructions: the peer at its best
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
)


@dataclass(frozen=True, slots=True)
class Peer:
    """Two programs, ready to run. `version`: what they are built from."""

    server: Path
    rpc_server: Path
    version: str


def peer() -> Peer:
    """The built programs. Raises FileNotFoundError saying how to build them."""
    built = FOLDER / f"llama.cpp-{RELEASE}"
    found = Peer(built / TARGETS[0], built / TARGETS[1], f"llama.cpp of llama-cpp-python {RELEASE}")
    if not (found.server.exists() and found.rpc_server.exists()):
        raise FileNotFoundError("the peer is not built yet: python -m bench.peer")
    return found


def build(jobs: int) -> Peer:
    missing = [tool for tool in ("cmake", "ninja", "c++") if shutil.which(tool, path=PATH) is None]
    if missing:
        raise FileNotFoundError(f"missing: {', '.join(missing)} (apt-get install cmake ninja-build g++)")
    with tempfile.TemporaryDirectory(prefix="mohawk-peer-") as temporary:
        sources = _unpack(_download(Path(temporary)), Path(temporary))
        _compile(sources, Path(temporary) / "build", jobs)
        target = FOLDER / f"llama.cpp-{RELEASE}"
        target.mkdir(parents=True, exist_ok=True)
        for name in TARGETS:
            shutil.copy2(Path(temporary) / "build" / "bin" / name, target / name)
    return peer()


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "llama-cpp-python"]
    subprocess.run([*command, f"llama-cpp-python=={RELEASE}", "--dest", str(folder)], check=True)
    archive = next(folder.glob("llama_cpp_python-*.tar.gz"))
    if hashlib.sha256(archive.read_bytes()).hexdigest() != SHA256:
        raise ValueError("the downloaded sdist is not the one that this bench was written for")
    return archive


def _unpack(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return next(folder.glob("llama_cpp_python-*/vendor/llama.cpp"))


def _compile(sources: Path, build_folder: Path, jobs: int) -> None:
    # PATH: a virtual environment's own cmake; the ceiling: or it would ask git for the commit of our repository
    quiet = os.environ | {"PATH": PATH, "GIT_CEILING_DIRECTORIES": str(sources.parent)}
    subprocess.run(["cmake", "-G", "Ninja", "-S", sources, "-B", build_folder, *OPTIONS], check=True, env=quiet)
    command = ["nice", "-n", "15", "cmake", "--build", build_folder, "-j", str(jobs), "--target", *TARGETS]
    subprocess.run(command, check=True, env=quiet)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2)
    jobs = parser.parse_args().jobs
    try:
        print(peer().version)
    except FileNotFoundError:
        print(build(jobs).version)


if __name__ == "__main__":
    main()
