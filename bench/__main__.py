"""`make bench`: the peer is built where it is not there, then every bench, one after the other; results go to
bench/results/.
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
)


def main() -> None:
    for name in BENCHES:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, "-m", name], check=True)


if __name__ == "__main__":
    main()
