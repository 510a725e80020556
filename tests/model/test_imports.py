"""A worker pays for its imports on every start and in every process: nothing but torch, transformers and what they
need.
"""

from __future__ import annotations

import subprocess
import sys

_UNWANTED = ("torchvision", "torchaudio", "PIL", "scipy", "sklearn", "pandas", "accelerate", "librosa", "mohawk.api")


def test_a_worker_imports_nothing_it_does_not_need() -> None:
    code = (
        "import sys, mohawk.model.loading, mohawk.model.self_test, mohawk.model.sampler;"
        f"print(*[name for name in {_UNWANTED!r} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not found
