"""Generate the protobuf code of the contract; with --check, compare it with what is committed and change nothing."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

SOURCE = Path(__file__).resolve().parent.parent / "src"
PROTO = "mohawk/contract/mohawk.proto"
GENERATED = ("mohawk/contract/mohawk_pb2.py", "mohawk/contract/mohawk_pb2.pyi")


def generate(target: Path) -> None:
    """Write the generated files under `target`."""
    arguments = ["protoc", f"-I{SOURCE}", f"--python_out={target}", f"--pyi_out={target}", str(SOURCE / PROTO)]
    if protoc.main(arguments) != 0:
        sys.exit("protoc failed")


def check() -> None:
    """Exit with a message when the committed files are not what the .proto generates."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        stale = [name for name in GENERATED if (Path(folder) / name).read_bytes() != (SOURCE / name).read_bytes()]
    if stale:
        sys.exit(f"stale generated code: {', '.join(stale)}; run: python scripts/generate_contract.py")


if __name__ == "__main__":
    check() if "--check" in sys.argv[1:] else generate(SOURCE)
