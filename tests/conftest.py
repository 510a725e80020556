"""What tests of several folders share: one running cluster, started when the first of them asks, and how much they try.

The default run tries the same examples every time: a change must not fail by another change's luck. `make fuzz` tries
new ones, and many more; what it finds becomes a test of its own.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.e2e", "tests.support")  # their assertions then say what they compared

from tests.e2e.running import first_run, up  # noqa: E402 - only what is imported later is rewritten
from tests.support.machines import machine, other_machine, policy  # noqa: E402
from tests.support.softhsm import token, token_box  # noqa: E402
from tests.support.swtpm import first_tpm, second_tpm, vendor  # noqa: E402

__all__ = [
    "first_run",
    "first_tpm",
    "machine",
    "other_machine",
    "policy",
    "second_tpm",
    "token",
    "token_box",
    "up",
    "vendor",
]

_PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}  # a busy machine is not a fault
settings.register_profile("same", derandomize=True, **_PATIENT)
settings.register_profile("fuzz", print_blob=True, **_PATIENT)
settings.load_profile("fuzz" if os.environ.get("MOHAWK_FUZZ") else "same")
