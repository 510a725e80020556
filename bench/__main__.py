"""`make bench`: the peer is built where it is not there, then every bench, one after the other; results go to
bench/results/, plots of them to docs/plots/.
"""

from __future__ import annotations

import subprocess
import sys

BENCHES = (
    "bench.peer",
    "bench.bench_round_trip",
    "bench.bench_sealing",
    "bench.bench_decode",
    "bench.bench_tickets",
    "bench.bench_planner",
    "bench.bench_throughput",
    "bench.bench_long_prompt",
    "bench.bench_thousand",
    "bench.bench_overload",
    "bench.bench_failover",
    "bench.plots",
)


def main() -> None:
    for name in BENCHES:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, "-m", name], check=True)


if __name__ == "__main__":
    main()
