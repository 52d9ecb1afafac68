"""Times every benchmark, plain and fast side by side, and stores the ratios.

    python benchmarks/run.py [PATTERN] [--out FILE] [--repeats N]
    python benchmarks/run.py conversion STUDY ...              a table instead of ratios: see conversion/

Each pair is run alternately in one process on one thread; a ratio is the median plain time over the median fast
time, with the quartiles of the pairwise ratios. A row whose parity fails stores no ratio and fails the run.
"""

import argparse
import datetime
import importlib
import json
import platform
import statistics
import sys
import time
from fnmatch import fnmatch
from pathlib import Path

import torch

from spikeattn.files import write_text

sys.path.insert(0, str(Path(__file__).parent))  # for python -m benchmarks.run
from registry import BENCHMARKS, STUDIES, Benchmark  # noqa: E402


def seconds(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def measure(benchmark: Benchmark, repeats: int) -> dict:
    plain, fast, parity = benchmark.build()
    if not parity():
        return {"name": benchmark.name, "parity": False}
    for way in (plain, fast) * 3:
        way()
    pairs = [(seconds(plain), seconds(fast)) for _ in range(repeats)]
    quartiles = statistics.quantiles([a / b for a, b in pairs], n=4)
    ratio = statistics.median(a for a, _ in pairs) / statistics.median(b for _, b in pairs)
    return {"name": benchmark.name, "parity": True, "ratio": round(ratio, 3), "repeats": repeats,
            "quartiles": [round(q, 3) for q in quartiles]}


def hardware() -> dict:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {"cpu": names[0] if names else platform.processor(), "threads": torch.get_num_threads(),
            "torch": torch.__version__, "python": platform.python_version()}


def main() -> int:
    if sys.argv[1:2] and sys.argv[1] in STUDIES:
        return importlib.import_module(sys.argv[1]).main(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pattern", nargs="?", default="*")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--repeats", type=int, default=31)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = [measure(row, given.repeats) for row in BENCHMARKS if fnmatch(row.name, given.pattern)]
    for row in rows:
        print(f"{row['name']:<44} " + (f"{row['ratio']:.2f} x" if row["parity"] else "PARITY FAILED"))
    result = {"date": datetime.date.today().isoformat(), "hardware": hardware(), "rows": rows}
    if given.out:
        write_text(given.out, json.dumps(result, indent=1) + "\n")
    return 0 if all(row["parity"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
