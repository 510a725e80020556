"""What tests of several folders share: one running cluster, started when the first of them asks."""

from tests.e2e.running import first_run, up

__all__ = ["first_run", "up"]
