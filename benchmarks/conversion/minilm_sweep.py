"""The sentence encoder on all test pairs: T = 1 to 8, the ablation at T = 4; calibrated on the whole dev file."""

import argparse
from dataclasses import asdict
from typing import Any

from conversion.sts import SOURCE, directory, hashes
from neuromorphic.convert import convert_sweep


def study(given: argparse.Namespace) -> dict[str, Any]:
    found = convert_sweep(directory(), given.text / "sts-dev.csv", evaluation=given.text / "sts-test.csv",
                          floor=given.floor, progress=shown)
    return {"source": SOURCE, **hashes(given.text), "report": asdict(found) | {"source": SOURCE}}


def shown(what: str, done: int, total: int | None) -> None:
    if done == total:
        print(what, flush=True)
