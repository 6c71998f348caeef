"""Measures everything, prints the table, writes results.json and results.svg beside this file.

    python -m benchmarks [--only start|memory|size|clock|counts|files|streams|network|network-costs|building ...]

With --only nothing is written. The comparison Linux is built on first use (minutes; needs apt-get).
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import building, counting, files, network, startup, streams
from benchmarks.programs import PROJECT
from benchmarks.result import Measurement, print_table, write_json, write_picture
from goanna.machine.qemu import find_qemu

HERE = Path(__file__).parent
BENCHMARKS: dict[str, Callable[[Path], Iterator[Measurement]]] = {
    "start": startup.start_times,
    "memory": startup.smallest_memory,
    "size": startup.sizes,
    "clock": counting.clock_readings,
    "counts": counting.instruction_counts,
    "files": files.file_costs,
    "streams": streams.stream_times,
    "network": network.network_rates,
    "network-costs": network.network_costs,
    "building": building.build_times,
}


def facts() -> dict[str, str]:
    """What the numbers were measured on."""
    qemu = ".".join(map(str, find_qemu().version))
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=PROJECT, capture_output=True, text=True
    ).stdout.strip()
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit,
        "processor": _processor(),
        "qemu": f"QEMU {qemu}, tcg",
        "python": f"Python {platform.python_version()}",
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.machine()


def main() -> int:
    """The command; its status is 0 even when a target is missed, which the table says."""
    parser = argparse.ArgumentParser(description="Measures Goanna.")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, help="some of the benchmarks; writes no files")
    options = parser.parse_args()
    measurements: list[Measurement] = []
    with TemporaryDirectory(prefix="goanna-bench-") as folder:
        for name, benchmark in BENCHMARKS.items():
            if not options.only or name in options.only:
                print(f"measuring: {name}", file=sys.stderr, flush=True)
                measurements += benchmark(Path(folder))
    print_table(measurements)
    if not options.only:
        write_json(HERE / "results.json", facts(), measurements)
        write_picture(HERE / "results.svg", facts(), measurements)
    return 0


if __name__ == "__main__":
    sys.exit(main())
